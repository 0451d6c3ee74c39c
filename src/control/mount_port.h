// Port: file systems on the devices of one node.
#pragma once

#include <string>
#include <vector>

#include "control/failure.h"

namespace cleat::control {

struct MountRequestInfo {
  std::string device;
  std::string path;
  std::string fs;  // ext4 or xfs: made when the device is blank
  std::vector<std::string> options;
};

struct MountInfo {
  std::string device;
  std::string path;
  std::string fs;
  bool formatted = false;
};

struct Growth {
  bool grown = false;
  std::string why_not;  // in words: not mounted, or what the kernel said
};

struct MountedAt {
  std::string path;
  bool read_only = false;
};

class MountPort {
 public:
  virtual ~MountPort() = default;
  // Makes the file system only on a device that is blank, checks an existing one, grows it to the
  // device's size unless it is mounted read-only, mounts it.
  // Mounted there already: success. kBusy: something else is mounted at the path. kCorrupt: the
  // check found damage that it could not repair by itself. kInvalidArgument: unknown file system,
  // path not absolute.
  virtual Outcome<MountInfo> mount(const MountRequestInfo& request) = 0;
  // Empty path: everywhere. Success when not mounted. kBusy: files are open.
  virtual Outcome<> unmount(const std::string& device, const std::string& path) = 0;
  // Where the device is mounted on this node.
  virtual Outcome<std::vector<MountedAt>> mounts(const std::string& device) = 0;
  // Grows the mounted file system to the device's size; nothing to grow is success. ext4 can't grow
  // while it is mounted where root lacks CAP_SYS_RESOURCE.
  virtual Outcome<Growth> grow_file_system(const std::string& device) = 0;
};

}  // namespace cleat::control
