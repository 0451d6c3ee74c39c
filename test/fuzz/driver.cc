// Runs a fuzz target without a fuzzing engine: replays files, then mutates them by a seed. A target
// is one function, as libFuzzer defines it, so that it can be linked with that engine instead:
//   extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
//
//   TARGET [--iterations N] [--seed S] [--size-max BYTES] [FILE_OR_DIRECTORY...]
//
// A run is a function of its seed and its files. When the target aborts, the input is written to
// fuzz-crash-SEED-ITERATION in the current directory; replay it by naming it.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/log.h"
#include "common/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace cleat::fuzz {
namespace {

using Input = std::vector<uint8_t>;

struct Options {
  uint64_t iterations = 20'000;
  uint64_t seed = 0;
  uint64_t size_max = 16 * 1024;
  std::vector<std::string> paths;
};

// What the signal handler writes out: nothing but plain data.
const uint8_t* current_data = nullptr;
size_t current_size = 0;
char crash_name[64];

void keep_input(int signal_number) {
  int file = ::open(crash_name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (file >= 0) {
    ssize_t written = ::write(file, current_data, current_size);
    static constexpr char kText[] = "fuzz: the input is kept in ";
    written += ::write(STDERR_FILENO, kText, sizeof kText - 1);
    written += ::write(STDERR_FILENO, crash_name, std::strlen(crash_name));
    written += ::write(STDERR_FILENO, "\n", 1);
    static_cast<void>(written);
  }
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

void run(const Input& input, uint64_t seed, uint64_t iteration) {
  current_data = input.data();
  current_size = input.size();
  std::snprintf(crash_name, sizeof crash_name, "fuzz-crash-%llu-%llu",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(iteration));
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), {});
}

std::vector<Input> read_corpus(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.emplace_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);  // the order of a directory is no order
  std::vector<Input> corpus;
  for (const auto& file : files) corpus.push_back(read_file(file));
  return corpus;
}

// Numbers at which parsers go wrong.
constexpr uint64_t kEdges[] = {0,
                               1,
                               2,
                               0x7f,
                               0x80,
                               0xff,
                               0x7fff,
                               0x8000,
                               0xffff,
                               0x10000,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x100000000,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xffffffffffffffff,
                               4096,
                               4095,
                               1u << 20};

void put_edge(Input& input, Random& random) {
  size_t size = size_t{1} << random.below(4);
  if (input.size() < size) return;
  uint64_t value = kEdges[random.below(std::size(kEdges))];
  std::memcpy(input.data() + random.below(input.size() - size + 1), &value, size);
}

void mutate_once(Input& input, const std::vector<Input>& corpus, Random& random, size_t size_max) {
  auto place = [&] { return static_cast<ptrdiff_t>(random.below(input.size() + 1)); };
  switch (random.below(7)) {
    case 0:
      if (!input.empty())
        input[random.below(input.size())] ^= static_cast<uint8_t>(1 << random.below(8));
      break;
    case 1:
      if (!input.empty()) input[random.below(input.size())] = static_cast<uint8_t>(random());
      break;
    case 2: put_edge(input, random); break;
    case 3: input.resize(static_cast<size_t>(place())); break;
    case 4:
      input.insert(input.begin() + place(), random.between(1, 16), static_cast<uint8_t>(random()));
      break;
    case 5: {
      ptrdiff_t from = place();
      ptrdiff_t size = std::min<ptrdiff_t>(static_cast<ptrdiff_t>(random.between(1, 64)),
                                           static_cast<ptrdiff_t>(input.size()) - from);
      input.erase(input.begin() + from, input.begin() + from + size);
      break;
    }
    default: {
      if (corpus.empty()) break;
      const Input& other = corpus[random.below(corpus.size())];
      input.insert(input.begin() + place(), other.begin(), other.end());
    }
  }
  if (input.size() > size_max) input.resize(size_max);
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  options.seed = (uint64_t{std::random_device{}()} << 16) ^ std::random_device{}();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (!name.starts_with("--")) {
      options.paths.push_back(name);
      continue;
    }
    uint64_t* into = name == "--iterations" ? &options.iterations
                     : name == "--seed"     ? &options.seed
                     : name == "--size-max" ? &options.size_max
                                            : nullptr;
    if (into == nullptr || i + 1 == arguments.size()) return std::nullopt;
    auto value = number(arguments[++i]);
    if (!value) return std::nullopt;
    *into = *value;
  }
  return options;
}

int fuzz(const Options& options) {
  for (const std::string& path : options.paths) {
    if (std::filesystem::exists(path)) continue;
    std::fprintf(stderr, "fuzz: %s does not exist\n", path.c_str());
    return 1;
  }
  std::vector<Input> corpus = read_corpus(options.paths);
  std::printf("fuzz: %zu files, %llu iterations, --seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(options.iterations),
              static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  for (int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    ::signal(signal_number, keep_input);
  }
  for (const Input& input : corpus) run(input, options.seed, 0);
  Random random(options.seed);
  for (uint64_t i = 1; i <= options.iterations; ++i) {
    Input input = corpus.empty() ? Input{} : corpus[random.below(corpus.size())];
    for (uint64_t count = random.between(1, 8); count > 0; --count) {
      mutate_once(input, corpus, random, options.size_max);
    }
    run(input, options.seed, i);
  }
  return 0;
}

}  // namespace
}  // namespace cleat::fuzz

int main(int argc, char** argv) {
  auto options = cleat::fuzz::parse(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    std::fprintf(
        stderr, "usage: %s [--iterations N] [--seed S] [--size-max BYTES] [FILE_OR_DIRECTORY...]\n",
        argv[0]);
    return 2;
  }
  spdlog::set_level(spdlog::level::off);  // refusals are what a run is made of
  return cleat::fuzz::fuzz(*options);
}
