// ext4 and xfs on a block device, by the system's programs: blkid, mkfs.ext4, mkfs.xfs, e2fsck,
// resize2fs, xfs_repair, xfs_growfs.
//
// Threading: any thread; two calls for one device at once are the caller's error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/failure.h"
#include "common/time.h"

namespace cleat::host {

bool is_known_file_system(const std::string& fs);

// Runs it; its output when it ends with at most `exit_max`, else `code` and the end of what it
// said.
Outcome<std::string> run_tool(const std::vector<std::string>& argv, Duration timeout, int exit_max,
                              Code code, const std::string& doing);

// What is on the device, as blkid calls it; empty when it recognises nothing.
Outcome<std::string> probe_file_system(const std::string& device);
// Whether its first and its last MiB are zeros. Looks below the page cache.
Outcome<bool> is_blank(const std::string& device);

// Over whatever is there. The blocks are durable when it returns.
Outcome<> make_file_system(const std::string& fs, const std::string& device);
// Not mounted. ext4: repairs what is safe to repair; kCorrupt when more is needed. xfs replays its
// log at the mount and has no such check.
Outcome<> check_file_system(const std::string& fs, const std::string& device);
// Not mounted; changes nothing. Whether the file system is complete and consistent.
Outcome<bool> is_whole(const std::string& fs, const std::string& device);

Outcome<uint64_t> device_bytes(const std::string& device);
// How much of the device the file system uses, by its superblock on the disk.
Outcome<uint64_t> file_system_bytes(const std::string& fs, const std::string& device);
// The same from the first bytes of a device; nothing when there is no such superblock.
std::optional<uint64_t> ext4_bytes(std::span<const std::byte> head);
std::optional<uint64_t> xfs_bytes(std::span<const std::byte> head);

// To the size of the device. Unmounted: ext4 alone, with a full check before. Mounted: kPermission
// when the kernel doesn't let this process (ext4 without CAP_SYS_RESOURCE).
Outcome<> grow_unmounted(const std::string& fs, const std::string& device);
Outcome<> grow_mounted(const std::string& fs, const std::string& device, const std::string& path);

}  // namespace cleat::host
