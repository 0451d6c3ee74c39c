// Ports: mounts and file systems of the node that the Node service runs on. linux_ports.h has them
// on the system; tests have testing/fake_host.h.
//
// Threading: any thread; two calls for one device or path at once are the caller's error.
#pragma once

#include <string>
#include <vector>

#include "common/failure.h"
#include "host/mount_table.h"

namespace cleat::csi {

struct MountCall {
  std::string device;
  std::string path;
  std::string fs;
  std::vector<std::string> options = {};
};

class MountPort {
 public:
  virtual ~MountPort() = default;
  virtual Outcome<std::vector<host::MountLine>> table() = 0;
  // Of a device, or of what a device is bound to. kNotFound, kInvalidArgument: it is none.
  virtual Outcome<std::string> device_number(const std::string& path) = 0;
  virtual Outcome<> mount(const MountCall& call) = 0;
  // All at once: never a moment, or a crash, after which it is there and writable against the wish.
  virtual Outcome<> bind(const std::string& source, const std::string& path, bool read_only) = 0;
  // The topmost mount at the path. kBusy: files are open. Success when nothing is mounted there.
  virtual Outcome<> unmount(const std::string& path) = 0;
  virtual Outcome<> set_read_only(const std::string& device, bool read_only) = 0;
};

struct FoundFileSystem {
  std::string fs;      // empty: none that is recognised
  bool blank = false;  // nothing was ever put there
};

struct FileSystemSizes {
  uint64_t fs_bytes = 0;
  uint64_t device_bytes = 0;
};

class FileSystemPort {
 public:
  virtual ~FileSystemPort() = default;
  virtual Outcome<FoundFileSystem> probe(const std::string& device) = 0;
  // Over whatever is there.
  virtual Outcome<> make(const std::string& fs, const std::string& device) = 0;
  // Not mounted; repairs what is safe to repair. kCorrupt: more is needed.
  virtual Outcome<> check(const std::string& fs, const std::string& device) = 0;
  // Not mounted; changes nothing.
  virtual Outcome<bool> is_whole(const std::string& fs, const std::string& device) = 0;
  // `fs` empty: only the device's.
  virtual Outcome<FileSystemSizes> sizes(const std::string& fs, const std::string& device) = 0;
  // To the size of the device; an empty path: not mounted. kPermission: not while it is mounted.
  virtual Outcome<> grow(const std::string& fs, const std::string& device,
                         const std::string& mounted_at) = 0;
};

}  // namespace cleat::csi
