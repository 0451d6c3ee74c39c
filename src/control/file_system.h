// The file system on one block device, by the system's programs: blkid, mkfs, e2fsck, resize2fs,
// xfs_growfs.
//
// Threading: any thread; nobody else may use the device meanwhile, but for what is mounted.
#pragma once

#include <string>

#include "common/time.h"
#include "control/failure.h"

namespace cleat::control {

// Runs a program to its end and gives its output. `code`: it ended with more than `exit_max`.
Outcome<std::string> run_program(const std::vector<std::string>& argv, Duration timeout,
                                 int exit_max, Code code, const std::string& doing);

// The type blkid knows; empty when there is none.
Outcome<std::string> probe_file_system(const std::string& device);
// The first MiB is zeros.
Outcome<bool> is_blank(const std::string& device);
Outcome<> make_file_system(const std::string& fs, const std::string& device);

// Not mounted. ext4: repairs what is safe to repair. xfs replays its log at the mount and has no
// such check. kCorrupt: a person must look.
Outcome<> check_file_system(const std::string& fs, const std::string& device);

// The device is larger by more than what a file system may have to leave unused at its end. Of a
// mounted xfs this may be an older answer.
Outcome<bool> is_smaller_than_device(const std::string& fs, const std::string& device);
// Not mounted, ext4 only: xfs grows while it is mounted.
Outcome<> grow_unmounted(const std::string& device);
// `path` is where it is mounted. Nothing to do is a success. kUnsupported: the kernel refuses.
Outcome<> grow_mounted(const std::string& fs, const std::string& device, const std::string& path);

}  // namespace cleat::control
