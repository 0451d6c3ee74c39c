// What cleatd and cleat-keeper say to each other: docs/formats/keeper.md. SOCK_SEQPACKET on a unix
// socket, one structure a packet, little-endian, descriptors by SCM_RIGHTS.
//
// The keeper is rarely replaced and outlives many versions of cleatd: what is here may be added to,
// at the ends of the structures' reserved parts, and never changed otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace cleat::keeper {

inline constexpr uint32_t kMagic = 0x50454b43;  // "CKEP"
inline constexpr uint16_t kVersion = 1;
inline constexpr size_t kNameBytes = 128;
inline constexpr size_t kMessageBytes = 256;
inline constexpr char kSocketName[] = "keeper.sock";  // in the run directory

enum class RequestType : uint16_t {
  kHello = 1,    // who are you: answered with the keeper's version
  kCreate = 2,   // make a device, or wait for the one that is held
  kList = 3,     // every device held, with its descriptor
  kResize = 4,   // the volume grew: let the device see it
  kDestroy = 5,  // take a device away
};

enum class ReplyType : uint16_t {
  kDone = 1,        // the last packet of a request's answer
  kConnection = 2,  // kCreate: a new /dev/fuse descriptor, to be served at once
  kVolume = 3,      // kList: one device and its descriptor
};

enum class DeviceState : uint32_t {
  kNone = 0,
  kAttaching = 1,  // the connection is there, the loop device not yet
  kReady = 2,
  kFailed = 3,  // no loop device; kCreate tries again
  kDestroying = 4,
};

inline constexpr uint32_t kFlagForce = 1;  // kDestroy: abort what is under way, users or not

struct Request {
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t type = 0;
  uint64_t request_id = 0;  // not 0; comes back in the answer
  uint64_t volume_id = 0;
  uint64_t size_bytes = 0;  // kCreate, kResize
  uint32_t flags = 0;
  uint32_t reserved0 = 0;
  std::array<char, kNameBytes> name{};  // kCreate: of the volume, for people; ends with a zero byte
  std::array<uint8_t, 88> reserved{};
};
static_assert(sizeof(Request) == 256 && std::is_trivially_copyable_v<Request>);

struct Reply {
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t type = 0;
  uint64_t request_id = 0;
  int32_t error = 0;  // kDone: 0 or an errno value
  uint32_t state = 0;
  uint64_t volume_id = 0;
  uint64_t size_bytes = 0;
  int32_t loop_index = -1;
  uint32_t reserved0 = 0;
  std::array<char, kNameBytes> name{};
  std::array<char, kMessageBytes> message{};  // kDone with an error: what, why
  std::array<uint8_t, 80> reserved{};
};
static_assert(sizeof(Reply) == 512 && std::is_trivially_copyable_v<Reply>);

template <size_t N>
void set_text(std::array<char, N>& into, std::string_view text) {
  into.fill(0);
  std::memcpy(into.data(), text.data(), std::min(text.size(), N - 1));
}
template <size_t N>
std::string get_text(const std::array<char, N>& from) {
  return {from.data(), ::strnlen(from.data(), N)};
}

}  // namespace cleat::keeper
