// Volumes as block devices: FUSE and a loop device, held by cleat-keeper, linked in dev_dir.
//
// Threading: the loop. leave() before it dies.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

#include "frontend/aligned_device.h"
#include "frontend/fuse/device_set.h"
#include "node/device_server.h"

namespace cleat::node {

class FuseDevices final : public DeviceServer {
 public:
  FuseDevices(io::EventLoop& loop, io::BufferPool& buffers, std::string run_dir,
              std::string dev_dir);
  ~FuseDevices() override;

  // What an earlier process of this node served, in the keeper's hands. kUnreachable without a
  // keeper; kBusy while that process has not ended, for which this waits a while.
  struct Held {
    VolumeId volume;
    std::string name;
  };
  io::Task<control::Outcome<std::vector<Held>>> held();
  // It waits for somebody to serve it, or is served.
  bool is_held(VolumeId volume) const;
  // A keeper that ended took its devices with it: what they were made of goes. Now and then.
  io::Task<void> drop_lost();

  io::Task<control::Outcome<control::AttachedVolume>> serve(VolumeId volume, std::string name,
                                                            engine::BlockDevice& device) override;
  io::Task<control::Outcome<bool>> holds(VolumeId volume) override;
  io::Task<control::Outcome<>> withdraw(VolumeId volume, bool force) override;
  io::Task<control::Outcome<>> resized(VolumeId volume) override;
  bool serves(VolumeId volume) const override;
  io::Task<void> leave() override;

 private:
  struct Served {
    Served(io::EventLoop& loop, io::BufferPool& buffers, engine::BlockDevice& device,
           std::string volume_name)
        : aligned(loop, buffers, device), name(std::move(volume_name)) {}
    frontend::AlignedDevice aligned;
    std::string name;
  };

  // One that may wait for the keeper: what it uses stays meanwhile.
  class Use {
   public:
    explicit Use(FuseDevices& devices) : devices_(devices) { ++devices_.users_; }
    Use(const Use&) = delete;
    ~Use() { --devices_.users_; }

   private:
    FuseDevices& devices_;
  };

  io::Task<control::Outcome<>> reach_keeper();
  io::Task<control::Outcome<>> connect_keeper();
  io::Task<void> forget_keeper();
  io::Task<void> drop_keeper();
  tl::unexpected<control::Failure> keeper_failure(Error error, std::string_view doing) const;

  io::EventLoop& loop_;
  io::BufferPool& buffers_;
  std::string run_dir_;
  std::string dev_dir_;
  fuse::RequestBuffers request_buffers_;
  std::unique_ptr<fuse::KeeperClient> keeper_;
  std::unique_ptr<fuse::DeviceSet> devices_;
  absl::flat_hash_map<VolumeId, std::unique_ptr<Served>> served_;
  uint32_t users_ = 0;
  bool is_reaching_ = false;
  bool has_left_ = false;
  io::WaitQueue reached_;
};

}  // namespace cleat::node
