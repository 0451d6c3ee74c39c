// What people may ask for. Every refusal says what, why and what to do.
#pragma once

#include <string>

#include "api/control.pb.h"
#include "control/failure.h"

namespace cleat::control {

inline constexpr uint64_t kVolumeSizeMax = 64ULL << 40;  // 64 TiB
inline constexpr uint64_t kVolumeSizeMin = 1ULL << 20;

// 1 to 128 of [A-Za-z0-9._-], a letter or digit first, not all digits.
Outcome<> validate_name(const std::string& name, const char* what);
Outcome<> validate_size(uint64_t size_bytes);
Outcome<> validate_ha(uint32_t ha);
Outcome<> validate_fs(const std::string& fs);
Outcome<> validate_labels(const google::protobuf::Map<std::string, std::string>& labels);
Outcome<> validate(const v1::CreateVolumeRequest& request);

}  // namespace cleat::control
