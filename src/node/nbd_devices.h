// Volumes as NBD exports, by name, on a unix socket and on TCP.
//
// Threading: the loop. leave() before it dies.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>

#include "frontend/aligned_device.h"
#include "frontend/nbd/server.h"
#include "io/uring_network.h"
#include "node/device_server.h"

namespace cleat::node {

class NbdDevices final : public DeviceServer {
 public:
  NbdDevices(io::EventLoop& loop, io::BufferPool& buffers, io::UringNetwork& network,
             std::string socket_path);
  ~NbdDevices() override;

  io::Task<control::Outcome<>> listen(std::string tcp_address);

  io::Task<control::Outcome<control::AttachedVolume>> serve(VolumeId volume, std::string name,
                                                            engine::BlockDevice& device) override;
  io::Task<control::Outcome<bool>> holds(VolumeId) override { co_return false; }
  io::Task<control::Outcome<>> withdraw(VolumeId volume, bool force) override;
  io::Task<control::Outcome<>> resized(VolumeId volume) override;
  bool serves(VolumeId volume) const override { return served_.contains(volume); }
  io::Task<void> leave() override;

 private:
  struct Served;

  io::EventLoop& loop_;
  io::BufferPool& buffers_;
  io::UringNetwork& network_;
  std::string socket_path_;
  nbd::ExportList exports_;
  nbd::Server server_;
  absl::flat_hash_map<VolumeId, std::unique_ptr<Served>> served_;
};

}  // namespace cleat::node
