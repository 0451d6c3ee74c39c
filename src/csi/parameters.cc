#include "csi/parameters.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <set>
#include <sstream>

#include "common/nearest.h"
#include "csi/names.h"

namespace cleat::csi {
namespace {

namespace api = ::cleat::control::v1;

constexpr uint32_t kHaMax = 3;

tl::unexpected<Failure> bad_value(const std::string& key, const std::string& value,
                                  const std::string& wanted) {
  return failure(Code::kInvalidArgument, "parameter {}: \"{}\" is not {}: correct it in the class",
                 key, value, wanted);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, separator);) {
    word.erase(0, word.find_first_not_of(' '));
    word.erase(word.find_last_not_of(' ') + 1);
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

template <class T>
Outcome<T> one_of(const std::string& key, const std::string& value,
                  const std::map<std::string, T>& words) {
  if (auto found = words.find(value); found != words.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [word, meaning] : words) known.push_back(word);
  return bad_value(key, value,
                   fmt::format("one of {}{}", fmt::join(known, ", "), did_you_mean(value, known)));
}

using Setter = Outcome<> (*)(const std::string& key, const std::string& value, Parameters& out);

Outcome<> set_repl(const std::string& key, const std::string& value, Parameters& out) {
  const std::map<std::string, uint32_t> levels{{"1", 1}, {"2", 2}, {"3", kHaMax}};
  OUTCOME_ASSIGN(out.ha, one_of(key, value, levels));
  out.ha_given = true;
  return {};
}

Outcome<> set_fs(const std::string& key, const std::string& value, Parameters& out) {
  OUTCOME_ASSIGN(out.fs, one_of<std::string>(key, value, {{"ext4", "ext4"}, {"xfs", "xfs"}}));
  return {};
}

Outcome<> set_priority(const std::string& key, const std::string& value, Parameters& out) {
  OUTCOME_ASSIGN(out.io_priority, one_of<api::IoPriority>(key, value,
                                                          {{"low", api::IO_PRIORITY_LOW},
                                                           {"medium", api::IO_PRIORITY_MEDIUM},
                                                           {"high", api::IO_PRIORITY_HIGH}}));
  return {};
}

// db_remote and none are words of Portworx: Cleat acknowledges no write before it is on every
// replica in sync, so that the first is db, and the second leaves the choice to Cleat.
Outcome<> set_profile(const std::string& key, const std::string& value, Parameters& out) {
  OUTCOME_ASSIGN(out.io_profile, one_of<api::IoProfile>(key, value,
                                                        {{"auto", api::IO_PROFILE_AUTO},
                                                         {"none", api::IO_PROFILE_AUTO},
                                                         {"sequential", api::IO_PROFILE_SEQUENTIAL},
                                                         {"random", api::IO_PROFILE_RANDOM},
                                                         {"db", api::IO_PROFILE_DB},
                                                         {"db_remote", api::IO_PROFILE_DB}}));
  return {};
}

Outcome<> set_group(const std::string& key, const std::string& value, Parameters& out) {
  if (value.empty()) return bad_value(key, value, "the name of a group");
  out.group = value;
  return {};
}

Outcome<> set_enforced(const std::string& key, const std::string& value, Parameters& out) {
  OUTCOME_ASSIGN(out.group_enforced, one_of<bool>(key, value, {{"true", true}, {"false", false}}));
  return {};
}

Outcome<> set_follow(const std::string& key, const std::string& value, Parameters& out) {
  OUTCOME_ASSIGN(out.follow, one_of<bool>(key, value, {{"true", true}, {"false", false}}));
  return {};
}

Outcome<> set_shared(const std::string& key, const std::string& value, Parameters& out) {
  OUTCOME_ASSIGN(out.shared, one_of<bool>(key, value, {{"true", true}, {"false", false}}));
  return {};
}

Outcome<> set_list(const std::string& key, const std::string& value, const char* wanted,
                   std::vector<std::string>& out) {
  out = split(value, ',');
  if (out.empty()) return bad_value(key, value, wanted);
  return {};
}

Outcome<> set_nodes(const std::string& key, const std::string& value, Parameters& out) {
  return set_list(key, value, "a list of nodes, separated by commas", out.nodes);
}
Outcome<> set_racks(const std::string& key, const std::string& value, Parameters& out) {
  return set_list(key, value, "a list of racks, separated by commas", out.racks);
}
Outcome<> set_zones(const std::string& key, const std::string& value, Parameters& out) {
  return set_list(key, value, "a list of zones, separated by commas", out.zones);
}

Outcome<> set_labels(const std::string& key, const std::string& value, Parameters& out) {
  for (const std::string& label : split(value, ',')) {
    size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad_value(key, value, "a list of KEY=VALUE, separated by commas");
    }
    if (label.starts_with(kOwnLabelPrefix)) {
      return bad_value(key, value, fmt::format("free: {} is the driver's own", kOwnLabelPrefix));
    }
    out.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return {};
}

Outcome<> set_mount_options(const std::string& key, const std::string& value, Parameters& out) {
  out.mount_options = split(value, ',');
  for (const std::string& option : out.mount_options) {
    if (option.starts_with('-')) return bad_value(key, value, "a list of mount options");
  }
  return {};
}

struct Key {
  Setter set;
  bool may_change;  // while the volume lives
};

const std::map<std::string, Key>& known_keys() {
  static const std::map<std::string, Key> keys{
      {"repl", {set_repl, true}},
      {"fs", {set_fs, false}},
      {"priority_io", {set_priority, true}},
      {"io_priority", {set_priority, true}},
      {"io_profile", {set_profile, true}},
      {"group", {set_group, false}},
      {"fg", {set_enforced, false}},
      {"follow", {set_follow, true}},
      {"shared", {set_shared, false}},
      {"sharedv4", {set_shared, false}},
      {"nodes", {set_nodes, false}},
      {"racks", {set_racks, false}},
      {"zones", {set_zones, false}},
      {"labels", {set_labels, true}},
      {"mount_options", {set_mount_options, false}},
  };
  return keys;
}

// Of Portworx, and nothing that a volume of Cleat has.
const std::set<std::string>& foreign_keys() {
  static const std::set<std::string> keys{"aggregation_level",
                                          "async_io",
                                          "block_size",
                                          "cow_ondemand",
                                          "direct_io",
                                          "early_ack",
                                          "journal",
                                          "nodiscard",
                                          "proxy_endpoint",
                                          "queue_depth",
                                          "scale",
                                          "secret_key",
                                          "secure",
                                          "snap_interval",
                                          "snap_schedule",
                                          "sticky",
                                          "regions"};
  return keys;
}

// The nearest one, or one that the word goes on from: replicas means repl.
std::string suggestion(const std::string& key, const std::vector<std::string>& known) {
  std::string best = nearest(key, known);
  for (const std::string& word : known) {
    if (best.empty() && key.starts_with(word)) best = word;
  }
  return best;
}

tl::unexpected<Failure> unknown_key(const std::string& key, const std::vector<std::string>& known) {
  if (foreign_keys().contains(key)) {
    return failure(Code::kInvalidArgument,
                   "parameter {} is one of Portworx that Cleat has no counterpart for: remove it "
                   "from the class",
                   key);
  }
  const std::string meant = suggestion(key, known);
  return failure(Code::kInvalidArgument,
                 "parameter {} is not known{} Correct or remove it in the class; known are: {}",
                 key, meant.empty() ? "." : fmt::format(": did you mean {}?", meant),
                 fmt::join(known, ", "));
}

Outcome<> take(const ParameterMap& parameters, bool changes_only, Parameters& out) {
  std::vector<std::string> known;
  for (const auto& [key, what] : known_keys()) {
    if (!changes_only || what.may_change) known.push_back(key);
  }
  // By key, so that of several mistakes the same one is named each time.
  for (const auto& [key, value] :
       std::map<std::string, std::string>(parameters.begin(), parameters.end())) {
    if (key.starts_with(kSidecarPrefix)) continue;
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      if (known_keys().contains(key)) {
        return failure(Code::kInvalidArgument,
                       "parameter {} can't be changed once the volume exists: put it into the "
                       "StorageClass; these can: {}",
                       key, fmt::join(known, ", "));
      }
      return unknown_key(key, known);
    }
    OUTCOME_TRY(known_keys().at(key).set(key, value, out));
  }
  return {};
}

}  // namespace

Outcome<Parameters> parse_parameters(const ParameterMap& parameters,
                                     const ParameterMap& mutable_parameters) {
  Parameters out;
  OUTCOME_TRY(take(parameters, false, out));
  OUTCOME_TRY(take(mutable_parameters, true, out));
  if (out.group_enforced && out.group.empty()) {
    return failure(Code::kInvalidArgument,
                   "parameter fg is true, but there is no group: name it with the parameter group");
  }
  return out;
}

Outcome<Parameters> parse_mutable_parameters(const ParameterMap& mutable_parameters) {
  Parameters out;
  OUTCOME_TRY(take(mutable_parameters, true, out));
  return out;
}

Outcome<std::map<std::string, std::string>> parse_snapshot_parameters(
    const ParameterMap& parameters) {
  Parameters out;
  for (const auto& [key, value] : parameters) {
    if (key.starts_with(kSidecarPrefix)) continue;
    if (key != "labels") return unknown_key(key, {"labels"});
    OUTCOME_TRY(set_labels(key, value, out));
  }
  return out.labels;
}

std::string fingerprint(const std::vector<const ParameterMap*>& maps, const std::string& more) {
  std::string text = more;
  for (const ParameterMap* map : maps) {
    text += '\n';
    for (const auto& [key, value] : std::map<std::string, std::string>(map->begin(), map->end())) {
      if (key.starts_with(kSidecarPrefix)) continue;
      text += fmt::format("{}:{}{}:{}", key.size(), key, value.size(), value);
    }
  }
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace cleat::csi
