#include "control/validate.h"

#include <algorithm>

#include "common/units.h"

namespace cleat::control {
namespace {

constexpr size_t kNameMax = 128;
constexpr size_t kLabelMax = 256;
constexpr int kLabelsMax = 64;
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kLettersAndDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

}  // namespace

Outcome<> validate_name(const std::string& name, const char* what) {
  if (name.empty()) return failure(Code::kInvalidArgument, "the {} has no name", what);
  if (name.size() > kNameMax) {
    return failure(Code::kInvalidArgument, "the {} name has {} characters, {} are allowed", what,
                   name.size(), kNameMax);
  }
  size_t bad = name.find_first_not_of(kNameCharacters);
  if (bad != std::string::npos) {
    auto shown = static_cast<unsigned char>(name[bad]);
    const std::string which = shown == ' '                  ? "a space"
                              : shown > ' ' && shown < 0x7f ? fmt::format("'{}'", name[bad])
                                                            : fmt::format("the byte {:#x}", shown);
    return failure(Code::kInvalidArgument,
                   "the {} name \"{}\" has {} in it: use letters, digits, '.', '_' and '-'", what,
                   name, which);
  }
  if (kLettersAndDigits.find(name[0]) == std::string_view::npos) {
    return failure(Code::kInvalidArgument, "the {} name \"{}\" must begin with a letter or a digit",
                   what, name);
  }
  if (name.find_first_not_of(kDigits) == std::string::npos) {
    return failure(Code::kInvalidArgument,
                   "the {} name \"{}\" is all digits and would be taken for an id: add a letter",
                   what, name);
  }
  return {};
}

Outcome<> validate_size(uint64_t size_bytes) {
  if (size_bytes % kBlockSize != 0) {
    return failure(Code::kInvalidArgument, "the size of {} bytes is not a multiple of 4 KiB",
                   size_bytes);
  }
  if (size_bytes < kVolumeSizeMin || size_bytes > kVolumeSizeMax) {
    return failure(Code::kInvalidArgument, "the size must be from {} to {}, not {}",
                   format_size(kVolumeSizeMin), format_size(kVolumeSizeMax),
                   format_size(size_bytes));
  }
  return {};
}

Outcome<> validate_ha(uint32_t ha) {
  if (ha >= 1 && ha <= 3) return {};
  return failure(Code::kInvalidArgument,
                 "the HA level (number of replicas) must be 1, 2 or 3, not {}", ha);
}

Outcome<> validate_fs(const std::string& fs) {
  if (fs.empty() || fs == "ext4" || fs == "xfs" || fs == "none") return {};
  return failure(Code::kInvalidArgument,
                 "the file system \"{}\" is not known: use ext4, xfs or none", fs);
}

Outcome<> validate_labels(const google::protobuf::Map<std::string, std::string>& labels) {
  if (labels.size() > kLabelsMax) {
    return failure(Code::kLimit, "{} labels are too many, {} are allowed", labels.size(),
                   kLabelsMax);
  }
  for (const auto& [key, value] : labels) {
    if (key.empty() || key.size() > kLabelMax || value.size() > kLabelMax) {
      return failure(Code::kInvalidArgument, "the label \"{}\" is empty or too long ({} bytes)",
                     key.substr(0, kLabelMax), kLabelMax);
    }
  }
  return {};
}

Outcome<> validate(const v1::CreateVolumeRequest& request) {
  OUTCOME_TRY(validate_name(request.name(), "volume"));
  OUTCOME_TRY(validate_size(request.size_bytes()));
  if (request.ha() != 0) OUTCOME_TRY(validate_ha(request.ha()));
  OUTCOME_TRY(validate_fs(request.fs()));
  OUTCOME_TRY(validate_labels(request.labels()));
  if (request.encrypted()) {
    return failure(Code::kUnsupported, "encrypted volumes are not supported in this version");
  }
  return {};
}

}  // namespace cleat::control
