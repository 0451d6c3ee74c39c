// The FUSE half of cleat-memory-device: one volume, held by a keeper.
#pragma once

#include <memory>
#include <string>

#include "frontend/fuse/device_set.h"

namespace cleat::frontend {

class FuseService {
 public:
  FuseService(io::EventLoop& loop, io::BufferPool& pool, AlignedDevice& device)
      : loop_(loop), pool_(pool), device_(device) {}

  // Answers the path of the device.
  io::Task<Result<std::string>> attach(std::string run_dir, VolumeId volume, std::string name);
  io::Task<Result<void>> detach();
  io::Task<Result<void>> resize();
  // Leaves the device to the next process.
  io::Task<void> close();
  std::string message() const { return keeper_ ? keeper_->message() : ""; }

 private:
  io::EventLoop& loop_;
  io::BufferPool& pool_;
  AlignedDevice& device_;
  VolumeId volume_;
  fuse::RequestBuffers buffers_;
  std::unique_ptr<fuse::KeeperClient> keeper_;
  std::unique_ptr<fuse::DeviceSet> devices_;
};

}  // namespace cleat::frontend
