// MountPort of this node, by the system's programs: mount, umount, and those of file_system.h.
//
// Threading: any thread; one operation at a time (a lock), so two mounts can't both make a file
// system.
#pragma once

#include <mutex>

#include "control/mount_port.h"

namespace cleat::control {

class Mounter final : public MountPort {
 public:
  Outcome<MountInfo> mount(const MountRequestInfo& request) override;
  Outcome<> unmount(const std::string& device, const std::string& path) override;
  Outcome<std::vector<MountedAt>> mounts(const std::string& device) override;
  Outcome<Growth> grow_file_system(const std::string& device) override;

 private:
  std::mutex mutex_;
};

}  // namespace cleat::control
