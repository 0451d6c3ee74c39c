// Values of the API in words. Pure: the same value gives the same text on every machine (times are
// UTC).
#pragma once

#include <string>

#include "api/control.pb.h"
#include "cli/json_output.h"

namespace cleat::cli {

namespace api = ::cleat::control::v1;

// The word of an enum value as in JSON: "in_sync"; "-" for none.
template <class Enum>
std::string word(Enum value) {
  const auto* known =
      google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(static_cast<int>(value));
  std::string text = known == nullptr ? "" : enum_word(*known);
  return text.empty() ? "-" : text;
}

std::string upper(std::string text);
std::string yes_no(bool value);
// "Nov 22 18:52:47 UTC 2026"; "never" for 0.
std::string format_time(int64_t unix_ms);
// "12 s", "3 min 20 s", "2 h 5 min", "4 d 3 h".
std::string format_seconds(uint64_t seconds);
// "2 GiB of 10 GiB (20 %)".
std::string format_share(uint64_t part, uint64_t whole);
// "41.0 % (2.1 GiB of 5 GiB), 210 MiB/s, 12 s left"; without rate and time while nothing moves.
std::string format_progress(const api::ResyncProgress& progress);
// "k=v,x=y" in the order of the keys; "" for none.
std::string format_labels(const google::protobuf::Map<std::string, std::string>& labels);

// STATUS of the volume list: "up - attached on 10.0.0.2 *"; the star says that the data is not
// local.
std::string volume_status(const api::Volume& volume);
// "In sync", "Resync 41.0 % (...)", "Stale, its node does not answer".
std::string replica_status(const api::Replica& replica);
// Replication Status of the volume: "Up", "Resync", "Degraded: 1 of 2 replicas in sync", "Down".
std::string replication_status(const api::Volume& volume);
// One sentence, or more, with a period at each end: "WHAT, because WHY. DOING."
std::string finding_text(const api::Finding& finding);

// From the words of flags; UNSPECIFIED for "".
api::IoPriority io_priority_of(const std::string& word);
api::IoProfile io_profile_of(const std::string& word);

}  // namespace cleat::cli
