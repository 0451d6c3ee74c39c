// The NBD protocol, as far as it is spoken here: fixed newstyle negotiation, simple replies.
// Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md. All integers
// big-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cleat::nbd {

inline constexpr uint64_t kGreetingMagic = 0x4e42444d41474943;  // "NBDMAGIC"
inline constexpr uint64_t kOptionMagic = 0x49484156454f5054;    // "IHAVEOPT"
inline constexpr uint64_t kOptionReplyMagic = 0x0003e889045565a9;
inline constexpr uint32_t kRequestMagic = 0x25609513;
inline constexpr uint32_t kSimpleReplyMagic = 0x67446698;

// Flags of the greeting (16 bits) and of the client's answer (32 bits) have the same values.
inline constexpr uint32_t kFixedNewstyle = 1;
inline constexpr uint32_t kNoZeroes = 2;

inline constexpr size_t kClientFlagsBytes = 4;
inline constexpr size_t kOptionHeaderBytes = 16;
inline constexpr size_t kOptionReplyHeaderBytes = 20;
inline constexpr size_t kRequestBytes = 28;
inline constexpr size_t kSimpleReplyBytes = 16;

enum class Option : uint32_t {
  kExportName = 1,
  kAbort = 2,
  kList = 3,
  kStartTls = 5,
  kInfo = 6,
  kGo = 7,
};

enum class OptionReply : uint32_t {
  kAck = 1,
  kServer = 2,
  kInfo = 3,
  kUnsupported = 0x80000001,
  kInvalid = 0x80000003,
  kUnknown = 0x80000006,
  kTooBig = 0x80000009,
};

enum class Info : uint16_t {
  kExport = 0,
  kName = 1,
  kDescription = 2,
  kBlockSize = 3,
};

enum class Command : uint16_t {
  kRead = 0,
  kWrite = 1,
  kDisconnect = 2,
  kFlush = 3,
  kTrim = 4,
  kWriteZeroes = 6,
};

inline constexpr uint16_t kCommandFua = 1;
inline constexpr uint16_t kCommandNoHole = 2;  // taken, without effect: volumes are thin everywhere

enum class TransmissionFlag : uint16_t {
  kHasFlags = 1 << 0,
  kReadOnly = 1 << 1,
  kSendFlush = 1 << 2,
  kSendFua = 1 << 3,
  kSendTrim = 1 << 5,
  kSendWriteZeroes = 1 << 6,
  kCanMultiConn = 1 << 8,
};

// Error values of replies that this server chooses itself; others come from frontend/error_table.h.
inline constexpr uint32_t kErrorNone = 0;
inline constexpr uint32_t kErrorPermission = 1;
inline constexpr uint32_t kErrorInvalid = 22;
inline constexpr uint32_t kErrorNoSpace = 28;
inline constexpr uint32_t kErrorOverflow = 75;

// Limits.
inline constexpr size_t kNameBytesMax = 4096;         // the protocol's own limit for strings
inline constexpr size_t kOptionBytesMax = 16 * 1024;  // longer options end the connection
inline constexpr uint32_t kOptionsMax = 1024;  // and so does a client that never comes to an end
inline constexpr uint32_t kPayloadBytesMax = 32u << 20;  // of a READ or WRITE
inline constexpr uint32_t kPreferredBlockBytes = 4096;

}  // namespace cleat::nbd
