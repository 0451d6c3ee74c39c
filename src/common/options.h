// Options, declared once. A module has one plain struct of options with its defaults, and one
// function that declares its fields to an OptionSet: name, bounds, help, whether it reloads live.
// From that come flags, TOML keys, environment names, --help, docs/reference.md and random values
// for the simulator.
//
//   struct CacheOptions { uint64_t size_bytes = 64 * kMiB; Duration expiry = 5s; };
//   void declare(OptionSet& set, CacheOptions& options) {
//     set.add_size(&options.size_bytes, {.name = "cache.size", .help = "...", .min = 0, .max =
//     kGiB}); set.add(&options.expiry, {.name = "cache.expiry", .help = "...", .reloadable =
//     true});
//   }
//
// Name "cache.size" is the TOML key size of table [cache], the flag --cache-size (--cache_size is
// read too) and the environment name CLEAT_CACHE_SIZE. A flag goes before the environment, that
// before the file, that before the default. Nothing is read from the process: main hands everything
// in.
//
// Threading: none; one thread at a time. Ownership: borrows the fields, which must outlive the set.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/option_value.h"
#include "common/random.h"

namespace cleat {

struct Option {
  std::string name = {};
  std::string help = {};  // one sentence, without the default: that is added
  // Bounds of integers, sizes (bytes) and durations (nanoseconds), both included.
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
  std::vector<std::string> one_of = {};  // of strings; empty: any
  bool required = false;                 // a string or list that must not be empty
  bool reloadable = false;               // reload() changes it in a running process
};

// Where values come from.
struct OptionSources {
  std::string file_name = {};  // for messages
  std::string file_text = {};  // TOML; empty: no file
  std::map<std::string, std::string> environment =
      {};                                   // only the names with the prefix are looked at
  std::vector<std::string> arguments = {};  // without the program's name
};

// What a reload did.
struct ReloadResult {
  std::vector<std::string> changed;       // names
  std::vector<std::string> need_restart;  // differ now, but only a restart applies them
};

class OptionSet {
 public:
  explicit OptionSet(std::string environment_prefix = "CLEAT_");

  // The field's value now is the default.
  void add(bool* field, Option option);
  void add(uint32_t* field, Option option);
  void add(uint64_t* field, Option option);
  void add(int64_t* field, Option option);
  void add(Duration* field, Option option);
  void add(std::string* field, Option option);
  void add(std::vector<std::string>* field, Option option);
  void add_size(uint64_t* field, Option option);  // bytes

  // Sets every field, or none when anything is wrong; the error is one line: what, why, what to do.
  // Answers warnings: environment names with the prefix that are no option (Kubernetes makes such).
  tl::expected<std::vector<std::string>, std::string> apply(const OptionSources& sources);
  // As apply(), but only fields that are reloadable change.
  tl::expected<ReloadResult, std::string> reload(const OptionSources& sources);

  // For --help: one paragraph per option.
  std::string help() const;
  // For docs/reference.md: a table.
  std::string reference() const;
  // A TOML file with every option at its present value.
  std::string to_toml() const;

  // Sets bools, and numbers and durations with a declared max, and strings with choices to random
  // values, often to a bound. Reproducible from the state of `random`.
  void randomize(Random& random);

  std::vector<std::string> names() const;

 private:
  using Field = std::variant<bool*, uint32_t*, uint64_t*, int64_t*, Duration*, std::string*,
                             std::vector<std::string>*>;
  struct Entry {
    Option option;
    OptionKind kind;
    Field field;
    OptionValue fallback;  // the default
  };
  using Values = std::map<std::string, OptionValue>;
  template <class T>
  using Outcome = tl::expected<T, std::string>;

  void add_entry(Field field, OptionKind kind, Option option);
  const Entry* find(std::string_view name) const;
  static OptionValue read(const Entry& entry);
  static void write(const Entry& entry, const OptionValue& value);
  Outcome<OptionValue> parse(const Entry& entry, std::string_view text,
                             std::string_view where) const;
  Outcome<OptionValue> check(const Entry& entry, OptionValue value, std::string_view where) const;

  Outcome<Values> resolve(const OptionSources& sources, std::vector<std::string>* warnings) const;
  Outcome<void> take_file(const OptionSources& sources, Values& values) const;
  void take_environment_name(const std::string& name, std::vector<std::string>* warnings) const;
  Outcome<void> take_environment(const OptionSources& sources, Values& values,
                                 std::vector<std::string>* warnings) const;
  struct Flag {
    const Entry* entry = nullptr;
    std::string name;                 // as given, with dashes
    std::optional<std::string> text;  // after "=", or of a --no form
  };
  Outcome<Flag> find_flag(const std::string& argument) const;
  Outcome<void> take_arguments(const std::vector<std::string>& arguments, Values& values) const;
  std::string environment_name(const Entry& entry) const;

  std::string environment_prefix_;
  std::vector<Entry> entries_;
};

// Takes "--NAME VALUE" or "--NAME=VALUE" out of the arguments: for what main needs before the
// options (--config). Empty when it isn't there; the error when it has no value.
tl::expected<std::string, std::string> take_flag(std::vector<std::string>& arguments,
                                                 std::string_view name);
// Takes "--NAME" out of the arguments; whether it was there.
bool take_switch(std::vector<std::string>& arguments, std::string_view name);

}  // namespace cleat
