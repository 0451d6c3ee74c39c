// What is mounted in this process' namespace, as /proc/self/mountinfo says (proc_pid_mountinfo(5)).
//
// Threading: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/failure.h"

namespace cleat::host {

struct MountLine {
  std::string device_number;  // "7:3": of a file system on a device, that device
  std::string root;           // which part of the file system: "/", or the source of a bind mount
  std::string path;
  std::string fs;
  bool read_only = false;        // this mount
  bool super_read_only = false;  // the file system, also when it went so after an error
};

// Lines that are none are left out.
std::vector<MountLine> parse_mounts(std::string_view text);
Outcome<std::vector<MountLine>> read_mounts();

// "7:3" of a block device. kNotFound, kInvalidArgument: it is none.
Outcome<std::string> device_number(const std::string& device);

}  // namespace cleat::host
