#include "cli/json_output.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <ostream>

namespace cleat::cli {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Json = nlohmann::ordered_json;

// AlertSeverity -> ALERT_SEVERITY_, which each of its values starts with.
std::string prefix_of(const std::string& enum_name) {
  std::string prefix;
  for (char c : enum_name) {
    bool upper = c >= 'A' && c <= 'Z';
    if (upper && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return prefix + "_";
}

Json single(const Message& message, const FieldDescriptor* field) {
  const Reflection* r = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return r->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64: return r->GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_UINT32: return r->GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64: return r->GetUInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE: return r->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_FLOAT: return r->GetFloat(message, field);
    case FieldDescriptor::CPPTYPE_BOOL: return r->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM: return enum_word(*r->GetEnum(message, field));
    case FieldDescriptor::CPPTYPE_STRING: return r->GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (!r->HasField(message, field)) return nullptr;
      return to_json(r->GetMessage(message, field));
  }
  return nullptr;
}

Json element(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* r = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return r->GetRepeatedInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_INT64: return r->GetRepeatedInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT32: return r->GetRepeatedUInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT64: return r->GetRepeatedUInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE: return r->GetRepeatedDouble(message, field, index);
    case FieldDescriptor::CPPTYPE_FLOAT: return r->GetRepeatedFloat(message, field, index);
    case FieldDescriptor::CPPTYPE_BOOL: return r->GetRepeatedBool(message, field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return enum_word(*r->GetRepeatedEnum(message, field, index));
    case FieldDescriptor::CPPTYPE_STRING: return r->GetRepeatedString(message, field, index);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return to_json(r->GetRepeatedMessage(message, field, index));
  }
  return nullptr;
}

// A map<string, string>; sorted, so that the same message always gives the same text.
Json map_of(const Message& message, const FieldDescriptor* field) {
  const Reflection* r = message.GetReflection();
  std::map<std::string, Json> sorted;
  for (int i = 0; i < r->FieldSize(message, field); ++i) {
    const Message& entry = r->GetRepeatedMessage(message, field, i);
    const auto* key = entry.GetDescriptor()->map_key();
    sorted[entry.GetReflection()->GetString(entry, key)] =
        single(entry, entry.GetDescriptor()->map_value());
  }
  Json json = Json::object();
  for (auto& [key, value] : sorted) json[key] = std::move(value);
  return json;
}

}  // namespace

std::string enum_word(const EnumValueDescriptor& value) {
  if (value.number() == 0) return "";
  std::string prefix = prefix_of(value.type()->name());
  std::string word = value.name();
  if (word.compare(0, prefix.size(), prefix) == 0) word = word.substr(prefix.size());
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return word;
}

Json to_json(const Message& message) {
  Json json = Json::object();
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->is_map()) {
      json[field->name()] = map_of(message, field);
    } else if (field->is_repeated()) {
      Json list = Json::array();
      int size = message.GetReflection()->FieldSize(message, field);
      for (int j = 0; j < size; ++j) list.push_back(element(message, field, j));
      json[field->name()] = std::move(list);
    } else {
      json[field->name()] = single(message, field);
    }
  }
  return json;
}

void print_json(std::ostream& out, const Json& json) {
  // Bytes that are not UTF-8 are replaced: JSON can't carry them, and dump() would throw.
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_json(std::ostream& out, const Message& message) { print_json(out, to_json(message)); }

}  // namespace cleat::cli
