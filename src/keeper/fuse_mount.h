// FUSE connections as mounts: run_dir/fuse/<volume id>, each with one file, `disk`.
//
// Nothing here waits for the server of the mount, dead or alive, but what says so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/file_descriptor.h"
#include "keeper/outcome.h"

namespace cleat::keeper {

// The file that a loop device is put on.
std::string disk_path(const std::string& mount_point);

// Opens /dev/fuse and mounts the connection; the descriptor is the server's side of it.
Outcome<io::FileDescriptor> mount_fuse(const std::string& mount_point);

// Ends the connection: every request, waiting or to come, fails. The mount stays.
void abort_fuse(const std::string& mount_point);

// Unmounts and removes the directory. EBUSY while files are open and `is_lazy` is not set.
Outcome<> unmount_fuse(const std::string& mount_point, bool is_lazy);

// FUSE mounts right below a directory, by /proc/self/mountinfo.
std::vector<std::string> find_fuse_mounts(const std::string& directory);

// Asks the server for the file's size, so that the kernel knows it. Waits for the server.
Outcome<uint64_t> refresh_size(const std::string& mount_point);

}  // namespace cleat::keeper
