#include "frontend/testing/fuse_service.h"

namespace cleat::frontend {

io::Task<Result<std::string>> FuseService::attach(std::string run_dir, VolumeId volume,
                                                  std::string name) {
  volume_ = volume;
  CO_TRY_ASSIGN(keeper_, fuse::KeeperClient::connect(loop_, run_dir));
  devices_ = std::make_unique<fuse::DeviceSet>(loop_, pool_, buffers_, *keeper_);
  CO_TRY(co_await devices_->adopt());
  CO_TRY_ASSIGN(std::string path, co_await devices_->attach(volume, name, device_));
  co_return path;
}

io::Task<Result<void>> FuseService::detach() { return devices_->detach(volume_, false); }

io::Task<Result<void>> FuseService::resize() { return devices_->resize(volume_); }

io::Task<void> FuseService::close() {
  if (devices_) co_await devices_->close();
  if (keeper_) co_await keeper_->close();
}

}  // namespace cleat::frontend
