// The kernel's FUSE protocol: <linux/fuse.h>, and what is newer than Debian 12's copy of it.
// Source: include/uapi/linux/fuse.h and fs/fuse/dev.c of Linux 6.9 and later.
#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>

namespace cleat::fuse {

// Init flag, 7.40: bit 39, that is bit 7 of flags2.
inline constexpr uint32_t kHasResendFlag2 = 1u << 7;
// Notification without data: "send me again every request that was read and not answered". The
// kernel puts those before the ones nobody read yet.
inline constexpr int32_t kNotifyResend = 7;
// Set in the `unique` of a request that is sent again; the answer carries it too.
inline constexpr uint64_t kUniqueResend = uint64_t{1} << 63;

// What INIT agrees on. A connection outlives the process that agreed on it: a later version must be
// able to serve what an earlier one answered, so this may grow and never shrink.
inline constexpr uint32_t kWriteBytesMax = 1 << 20;
// A WRITE's data begin here in a request; they are read to an address that is this much before a
// page.
inline constexpr size_t kWriteHeaderBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);
static_assert(kWriteHeaderBytes == 80);
// The largest request: a WRITE. Everything else fits one page behind its header.
inline constexpr size_t kRequestBytesMax = kWriteHeaderBytes + kWriteBytesMax;

inline constexpr uint64_t kRootNode = FUSE_ROOT_ID;
inline constexpr uint64_t kDiskNode = 2;
inline constexpr char kDiskName[] = "disk";

}  // namespace cleat::fuse
