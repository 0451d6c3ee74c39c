#include "common/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/nearest.h"
#include "common/units.h"

namespace cleat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Sample {
  bool verbose = false;
  uint32_t threads = 1;
  int64_t offset = 0;
  uint64_t cache_bytes = 64 * kMiB;
  Duration lease = 2s;
  std::string log_level = "info";
  std::string node = "host1";
  std::vector<std::string> peers;
};

void declare(OptionSet& set, Sample& s) {
  set.add(&s.verbose, {.name = "verbose", .help = "Says more.", .reloadable = true});
  set.add(&s.threads, {.name = "threads", .help = "Data threads.", .min = 1, .max = 64});
  set.add(&s.offset, {.name = "offset", .help = "An offset.", .min = -10, .max = 10});
  set.add_size(&s.cache_bytes,
               {.name = "cache.size", .help = "Cache.", .min = 0, .max = int64_t{kGiB}});
  set.add(&s.lease, {.name = "lease",
                     .help = "Lease.",
                     .min = Duration(1ms).count(),
                     .max = Duration(60s).count(),
                     .reloadable = true});
  set.add(&s.log_level,
          {.name = "log_level", .help = "Level.", .one_of = {"debug", "info", "error"}});
  set.add(&s.node, {.name = "node", .help = "Name.", .required = true});
  set.add(&s.peers, {.name = "peers", .help = "Peers."});
}

class OptionsTest : public ::testing::Test {
 protected:
  OptionsTest() { declare(set_, sample_); }
  // The error, or "" when it was taken.
  std::string arguments(std::vector<std::string> list) {
    auto done = set_.apply({.arguments = std::move(list)});
    return done ? "" : done.error();
  }
  std::string file(std::string text) {
    auto done = set_.apply({.file_name = "c.toml", .file_text = std::move(text)});
    return done ? "" : done.error();
  }
  Sample sample_;
  OptionSet set_;
};

TEST_F(OptionsTest, FlagsSetEveryKind) {
  ASSERT_EQ(arguments({"--verbose", "--threads", "4", "--offset=-3", "--cache-size", "1MiB",
                       "--lease", "1.5s", "--log_level", "debug", "--peers", "a=1, b=2"}),
            "");
  EXPECT_TRUE(sample_.verbose);
  EXPECT_EQ(sample_.threads, 4u);
  EXPECT_EQ(sample_.offset, -3);
  EXPECT_EQ(sample_.cache_bytes, kMiB);
  EXPECT_EQ(sample_.lease, Duration(1500ms));
  EXPECT_EQ(sample_.log_level, "debug");
  EXPECT_THAT(sample_.peers, ElementsAre("a=1", "b=2"));
  ASSERT_EQ(arguments({"--no-verbose"}), "");
  EXPECT_FALSE(sample_.verbose);
  EXPECT_EQ(sample_.threads, 1u) << "what is no longer given is at its default again";
}

TEST_F(OptionsTest, FileSetsEveryKind) {
  ASSERT_EQ(file("verbose = true\nthreads = 2\nlease = \"3s\"\npeers = [\"x\", \"y\"]\n"
                 "log_level = \"error\"\n[cache]\nsize = \"8KiB\"\n"),
            "");
  EXPECT_TRUE(sample_.verbose);
  EXPECT_EQ(sample_.threads, 2u);
  EXPECT_EQ(sample_.lease, Duration(3s));
  EXPECT_EQ(sample_.cache_bytes, 8 * kKiB);
  EXPECT_THAT(sample_.peers, ElementsAre("x", "y"));
}

TEST_F(OptionsTest, FlagBeforeEnvironmentBeforeFileBeforeDefault) {
  OptionSources sources{.file_name = "c.toml",
                        .file_text = "threads = 2\noffset = 2\nnode = \"f\"\n"};
  sources.environment = {{"CLEAT_THREADS", "3"}, {"CLEAT_OFFSET", "3"}, {"PATH", "/bin"}};
  sources.arguments = {"--threads", "4"};
  auto warnings = set_.apply(sources);
  ASSERT_TRUE(warnings) << warnings.error();
  EXPECT_TRUE(warnings->empty());
  EXPECT_EQ(sample_.threads, 4u);
  EXPECT_EQ(sample_.offset, 3);
  EXPECT_EQ(sample_.node, "f");
  EXPECT_EQ(sample_.log_level, "info");
}

TEST_F(OptionsTest, UnknownNamesAreErrorsThatNameTheNearest) {
  EXPECT_EQ(arguments({"--thread", "3"}), "unknown option --thread: did you mean --threads?");
  EXPECT_EQ(arguments({"--something-else", "3"}), "unknown option --something-else");
  EXPECT_EQ(file("verbose = true\nlog_levl = \"info\"\n"),
            "c.toml line 2: key log_levl is unknown: did you mean log_level?");
  EXPECT_THAT(file("[cach]\nsize = \"1MiB\"\n"), HasSubstr("did you mean cache.size?"));
  auto warnings = set_.apply({.environment = {{"CLEAT_THREAD", "1"}, {"CLEAT_SERVICE_HOST", "x"}}});
  ASSERT_TRUE(warnings);
  EXPECT_THAT(
      *warnings,
      ElementsAre("environment name CLEAT_SERVICE_HOST is no option",
                  "environment name CLEAT_THREAD is no option: did you mean CLEAT_THREADS?"));
}

TEST_F(OptionsTest, BadValuesAreErrorsThatSayWhatToWrite) {
  EXPECT_EQ(arguments({"--threads", "0"}),
            "option --threads: 0 is out of bounds: write a value of 1 to 64");
  EXPECT_EQ(arguments({"--threads", "many"}),
            "option --threads: 'many' is not valid: write a whole number");
  EXPECT_THAT(arguments({"--threads", "99999999999999999999"}), HasSubstr("whole number"));
  EXPECT_THAT(arguments({"--cache-size", "64"}), HasSubstr("with its unit"));
  EXPECT_THAT(arguments({"--cache-size", "1001B"}), HasSubstr("multiple of 4 KiB"));
  EXPECT_THAT(arguments({"--cache-size", "2GiB"}), HasSubstr("0 to 1GiB"));
  EXPECT_THAT(arguments({"--lease", "2"}), HasSubstr("with its unit"));
  EXPECT_THAT(arguments({"--lease", "2h"}), HasSubstr("1ms to 1m"));
  EXPECT_EQ(arguments({"--log-level", "loud"}),
            "option --log-level: 'loud' is not valid: write one of debug, info, error");
  EXPECT_EQ(arguments({"--threads"}), "option --threads needs a value: --threads VALUE");
  EXPECT_THAT(arguments({"--verbose=maybe"}), HasSubstr("write true or false"));
  EXPECT_THAT(arguments({"--no-threads"}), HasSubstr("unknown option --no-threads"));
  EXPECT_THAT(arguments({"word"}), HasSubstr("unexpected argument 'word'"));
  EXPECT_THAT(arguments({"--node", ""}), HasSubstr("option node is missing"));
}

TEST_F(OptionsTest, BadFilesAreErrorsWithTheLine) {
  EXPECT_THAT(file("threads = 2\nlease = \n"), HasSubstr("c.toml line 2: "));
  EXPECT_EQ(file("threads = \"2\"\n"), "c.toml line 1: key threads takes a value without quotes");
  EXPECT_EQ(file("lease = 2\n"), "c.toml line 1: key lease takes a value in quotes");
  EXPECT_EQ(file("node = [\"a\"]\n"), "c.toml line 1: key node takes one value, not a list");
  EXPECT_THAT(file("peers = [1]\n"), HasSubstr("put items in quotes"));
  EXPECT_THAT(file("threads = 1.5\n"), HasSubstr("neither text, whole number"));
}

TEST_F(OptionsTest, AnErrorChangesNothing) {
  EXPECT_NE(arguments({"--threads", "4", "--lease", "x"}), "");
  EXPECT_EQ(sample_.threads, 1u);
}

TEST_F(OptionsTest, ReloadChangesOnlyWhatMay) {
  auto done = set_.reload({.arguments = {"--lease", "5s", "--threads", "8"}});
  ASSERT_TRUE(done);
  EXPECT_THAT(done->changed, ElementsAre("lease"));
  EXPECT_THAT(done->need_restart, ElementsAre("threads"));
  EXPECT_EQ(sample_.lease, Duration(5s));
  EXPECT_EQ(sample_.threads, 1u);
}

TEST_F(OptionsTest, ItsOwnTomlReadsBackAsTheSame) {
  ASSERT_EQ(
      arguments({"--cache-size", "12KiB", "--lease", "250ms", "--peers", "a,b", "--node", "a\"b"}),
      "");
  std::string text = set_.to_toml();
  Sample other;
  OptionSet again;
  declare(again, other);
  auto done = again.apply({.file_name = "c.toml", .file_text = text});
  ASSERT_TRUE(done) << done.error() << text;
  EXPECT_EQ(other.cache_bytes, 12 * kKiB);
  EXPECT_EQ(other.lease, Duration(250ms));
  EXPECT_EQ(other.node, "a\"b");
  EXPECT_EQ(other.peers, sample_.peers);
}

TEST_F(OptionsTest, HelpAndReferenceNameEverything) {
  EXPECT_THAT(set_.help(),
              HasSubstr("  --cache-size VALUE\n        Cache. Values: 0 to 1GiB. Default: "
                        "64MiB. Environment: CLEAT_CACHE_SIZE.\n"));
  EXPECT_THAT(set_.reference(),
              HasSubstr("| `lease` | `--lease` | `CLEAT_LEASE` | 2s | 1ms to 1m | "
                        "live | Lease. |\n"));
}

TEST_F(OptionsTest, RandomValuesAreInBoundsAndReplay) {
  bool lowest = false, highest = false;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed), same(seed);
    set_.randomize(random);
    Sample first = sample_;
    EXPECT_TRUE(first.threads >= 1 && first.threads <= 64) << first.threads;
    EXPECT_TRUE(first.offset >= -10 && first.offset <= 10) << first.offset;
    EXPECT_TRUE(first.cache_bytes <= kGiB && first.cache_bytes % 4096 == 0) << first.cache_bytes;
    EXPECT_TRUE(first.lease >= 1ms && first.lease <= 60s);
    lowest |= first.threads == 1;
    highest |= first.threads == 64;
    set_.randomize(same);
    EXPECT_EQ(sample_.cache_bytes, first.cache_bytes);
  }
  EXPECT_TRUE(lowest && highest);
  EXPECT_EQ(sample_.node, "host1");
}

TEST(TakeFlag, TakesBothForms) {
  std::vector<std::string> list{"--a", "1", "--config", "x", "--help"};
  EXPECT_EQ(take_flag(list, "config").value(), "x");
  EXPECT_TRUE(take_switch(list, "help"));
  EXPECT_FALSE(take_switch(list, "help"));
  EXPECT_THAT(list, ElementsAre("--a", "1"));
  list = {"--config=y"};
  EXPECT_EQ(take_flag(list, "config").value(), "y");
  list = {"--config"};
  EXPECT_FALSE(take_flag(list, "config"));
}

TEST(Durations, ReadBackAsWritten) {
  for (Duration d :
       {Duration(0s), Duration(1ns), Duration(1500ms), Duration(90s), Duration(3600s)}) {
    EXPECT_EQ(parse_duration(format_duration(d)).value(), d) << format_duration(d);
  }
  for (const char* text : {"", "s", "-1s", "1", "1 s", "1w", "nan", "1e400d", "999999999999d"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Nearest, FindsTypingErrorsOnly) {
  EXPECT_EQ(nearest("volmue", {"node", "volume", "pool"}), "volume");
  EXPECT_EQ(nearest("vol", {"node", "volume", "pool"}), "volume");
  EXPECT_EQ(nearest("xyz", {"node", "volume", "pool"}), "");
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("nmae", "name"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
}

}  // namespace
}  // namespace cleat
