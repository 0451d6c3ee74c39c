// Loop devices. They are machine-wide and outlive namespaces and processes: our own are known by a
// tag (in lo_file_name), never by number alone.
//
// A device is held open with LO_FLAGS_AUTOCLEAR: when its holder dies the kernel takes it away as
// soon as nobody else uses it.
// Everything here may wait for the server of the file below: call it on a thread that may.
#pragma once

#include <string>
#include <vector>

#include "io/file_descriptor.h"
#include "keeper/outcome.h"

namespace cleat::keeper {

struct LoopDevice {
  int index = -1;
  io::FileDescriptor hold;

  std::string path() const { return "/dev/loop" + std::to_string(index); }
};

// 4096-byte sectors, direct I/O. `tag`: at most 63 bytes.
Outcome<LoopDevice> attach_loop(const std::string& file, const std::string& tag);

// EBUSY when the device is mounted or otherwise in use: it is as before then. A process that merely
// has it open (blkid, udev) is waited for, up to 2 s.
Outcome<> detach_loop(LoopDevice& device, const std::string& tag);

// Detaches now or when the last user leaves; whatever is under way must have been aborted.
void abandon_loop(LoopDevice& device);

// Lets the device see the new size of its file.
Outcome<> refresh_loop(const LoopDevice& device);

// Devices with tags that begin so.
std::vector<LoopDevice> find_loops(const std::string& tag_prefix);

}  // namespace cleat::keeper
