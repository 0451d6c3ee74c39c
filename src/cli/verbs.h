// The verbs, one function for each group, and what they share in declaring themselves to CLI11.
#pragma once

#include <google/protobuf/map.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cli/session.h"

namespace cleat::cli {

// Each declares its group below `root`; parsing a verb of it sets `chosen`.
void add_status_verb(CLI::App& root, Action& chosen);
void add_cluster_verbs(CLI::App& root, Action& chosen);
void add_node_verbs(CLI::App& root, Action& chosen);
void add_pool_verbs(CLI::App& root, Action& chosen);
void add_volume_verbs(CLI::App& root, Action& chosen);
void add_volume_change_verbs(CLI::App& volume, Action& chosen);  // below `volume`
void add_volume_check_verbs(CLI::App& volume, Action& chosen);   // below `volume`
void add_snapshot_verbs(CLI::App& volume, Action& chosen);       // below `volume`
void add_host_verbs(CLI::App& root, Action& chosen);
void add_alert_verbs(CLI::App& root, Action& chosen);
void add_tool_verbs(CLI::App& root, Action& chosen);

// A verb or a group. `names` is "list,l": the name, then its short forms.
CLI::App* add_verb(CLI::App& parent, const std::string& names, const std::string& description);
// Lines below "Examples:" in help, manual and documentation.
void set_examples(CLI::App* verb, const std::vector<std::string>& lines);

// `run` with these arguments becomes the chosen action when the verb is parsed.
template <class Arguments>
void on_run(CLI::App* verb, Action& chosen, std::shared_ptr<Arguments> arguments,
            Outcome<> (*run)(Session&, const Arguments&)) {
  verb->callback([&chosen, arguments, run] {
    chosen = [arguments, run](Session& session) { return run(session, *arguments); };
  });
}

// Checks of what people type; the answer is why it is refused, or "".
std::string check_name(const std::string& text);       // of something new
std::string check_reference(const std::string& text);  // name or id of something there is
std::string check_size(const std::string& text);
std::string check_label(const std::string& text);  // key=value
std::string check_path(const std::string& text);

// What a value is, for help and completion. The words are the type names of options and arguments.
inline constexpr const char* kVolume = "VOLUME";
inline constexpr const char* kSnapshot = "SNAPSHOT";
inline constexpr const char* kNode = "NODE";
inline constexpr const char* kPool = "POOL";
inline constexpr const char* kAlert = "ID";
inline constexpr const char* kResource = "RESOURCE";
inline constexpr const char* kWord = "WORD";  // checked as a reference: racks, classes, label keys
inline constexpr const char* kName = "NAME";  // of something new
inline constexpr const char* kSize = "SIZE";
inline constexpr const char* kLabel = "KEY=VALUE";
inline constexpr const char* kPath = "PATH";

// Of volumes that follow.
inline constexpr const char* kOn = "on";
inline constexpr const char* kOff = "off";
inline constexpr const char* kFollowHelp =
    "Its data follows: where it stays attached without a replica, one is made and another goes";

// An option or (without dashes) a positional argument whose text is checked by its kind above.
CLI::Option* add_text(CLI::App* verb, const std::string& names, std::string& field,
                      const char* kind, const std::string& description);
// The same for several: repeated, or separated by commas where it is an option.
CLI::Option* add_texts(CLI::App* verb, const std::string& names, std::vector<std::string>& field,
                       const char* kind, const std::string& description);
// One of some words.
CLI::Option* add_choice(CLI::App* verb, const std::string& names, std::string& field,
                        const std::vector<std::string>& words, const std::string& description);

// Bytes of a text that check_size() took.
uint64_t size_of(const std::string& text);
// Puts "k=v" texts into a map field of a request.
void put_labels(const std::vector<std::string>& texts,
                google::protobuf::Map<std::string, std::string>& labels);

}  // namespace cleat::cli
