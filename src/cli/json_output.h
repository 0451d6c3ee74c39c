// API messages as JSON, for -j: field names as in api/control.proto, numbers as numbers, enums as
// their lower-case word ("in_sync"), every field present (an unset message is null).
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>

#include "cli/session.h"

namespace cleat::cli {

nlohmann::ordered_json to_json(const google::protobuf::Message& message);

// The word of an enum value: REPLICA_STATE_IN_SYNC -> "in_sync"; "" for UNSPECIFIED.
std::string enum_word(const google::protobuf::EnumValueDescriptor& value);

// Indented, with a line break at the end.
void print_json(std::ostream& out, const nlohmann::ordered_json& json);
void print_json(std::ostream& out, const google::protobuf::Message& message);

}  // namespace cleat::cli
