// The ports of node_ports.h on the system's calls and programs.
#pragma once

#include "csi/node_ports.h"

namespace cleat::csi {

class LinuxMounts final : public MountPort {
 public:
  Outcome<std::vector<host::MountLine>> table() override;
  Outcome<std::string> device_number(const std::string& path) override;
  Outcome<> mount(const MountCall& call) override;
  Outcome<> bind(const std::string& source, const std::string& path, bool read_only) override;
  Outcome<> unmount(const std::string& path) override;
  Outcome<> set_read_only(const std::string& device, bool read_only) override;
};

class LinuxFileSystems final : public FileSystemPort {
 public:
  Outcome<FoundFileSystem> probe(const std::string& device) override;
  Outcome<> make(const std::string& fs, const std::string& device) override;
  Outcome<> check(const std::string& fs, const std::string& device) override;
  Outcome<bool> is_whole(const std::string& fs, const std::string& device) override;
  Outcome<FileSystemSizes> sizes(const std::string& fs, const std::string& device) override;
  Outcome<> grow(const std::string& fs, const std::string& device,
                 const std::string& mounted_at) override;
};

}  // namespace cleat::csi
