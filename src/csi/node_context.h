// What the parts of the Node service share: whom they ask, and where a volume is on this node.
//
// Threading: any thread. Ownership: borrows everything.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "csi/capabilities.h"
#include "csi/cleatd.h"
#include "csi/in_flight.h"
#include "csi/node_ports.h"

namespace cleat::csi {

struct NodeContext {
  const Cleatd& cleatd;
  MountPort& mounts;
  FileSystemPort& file_systems;
  InFlight& in_flight;
  std::string node;          // name of this node in Cleat
  uint32_t volumes_max = 0;  // 0: no limit
};

struct LocalDevice {
  std::string path;
  std::string number;  // "7:3"
};

using MountLines = std::vector<host::MountLine>;

// The volume's device on this node. kBusy: it is not attached here.
Outcome<LocalDevice> local_device(const NodeContext& context, const api::Volume& volume);

// The path without links in its directories. The last part is not looked at: it may be the root of
// a file system that no longer answers.
Outcome<std::string> real_path(const std::string& path);
// The topmost mount at a real path; null when there is none.
const host::MountLine* mount_at(const MountLines& lines, const std::string& path);
// Whatever is mounted there, one upon the other.
Outcome<> unmount_all(MountPort& mounts, const std::string& path);

bool is_read_only(const host::MountLine& line);
// By the context of the publish, too.
bool wants_read_only(const Usage& usage,
                     const google::protobuf::Map<std::string, std::string>& publish_context);

}  // namespace cleat::csi
