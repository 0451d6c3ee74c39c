#include "node/fuse_devices.h"

#include "common/log.h"
#include "frontend/device_link.h"

namespace cleat::node {

using control::failure;
using control::failure_from;
using control::Outcome;

FuseDevices::FuseDevices(io::EventLoop& loop, io::BufferPool& buffers, std::string run_dir,
                         std::string dev_dir)
    : loop_(loop),
      buffers_(buffers),
      run_dir_(std::move(run_dir)),
      dev_dir_(std::move(dev_dir)),
      reached_(loop) {}

FuseDevices::~FuseDevices() = default;

io::Task<void> FuseDevices::drop_lost() {
  if (!keeper_ || !keeper_->is_lost() || users_ > 0) co_return;
  Use use(*this);
  co_await forget_keeper();
}

io::Task<void> FuseDevices::forget_keeper() {
  LOG_ERROR("cleat-keeper ended: the {} devices it held are gone", served_.size());
  for (const auto& [volume, served] : served_) {
    auto unlinked = frontend::remove_device_link(dev_dir_, served->name);
    if (!unlinked) LOG_WARN("{}/{}: {}", dev_dir_, served->name, to_string(unlinked.error()));
  }
  co_await drop_keeper();
}

// A new keeper is asked when the one before has ended. Until it has said what it holds nobody may
// take that for nothing.
io::Task<Outcome<>> FuseDevices::reach_keeper() {
  while (is_reaching_) co_await reached_.wait();
  if (has_left_) co_return failure(Code::kClosed, "cleatd is stopping");
  if (keeper_ && !keeper_->is_lost()) co_return Outcome<>{};
  if (keeper_ && users_ > 1) {
    co_return failure(Code::kUnreachable, "cleat-keeper has just ended: try again");
  }
  is_reaching_ = true;
  if (keeper_) co_await forget_keeper();
  auto reached = co_await connect_keeper();
  is_reaching_ = false;
  reached_.notify_all();
  co_return reached;
}

io::Task<Outcome<>> FuseDevices::connect_keeper() {
  auto keeper = fuse::KeeperClient::connect(loop_, run_dir_);
  if (!keeper) {
    co_return failure(keeper.error().code,
                      "no cleat-keeper answers in {} ({}): start cleat-keeper, or attach with "
                      "--frontend nbd",
                      run_dir_, to_string(keeper.error()));
  }
  keeper_ = *std::move(keeper);
  devices_ = std::make_unique<fuse::DeviceSet>(loop_, buffers_, request_buffers_, *keeper_);
  auto adopted = co_await devices_->adopt();
  if (!adopted) {
    auto failed = keeper_failure(adopted.error(), "the keeper does not hand over its devices");
    co_await drop_keeper();
    co_return failed;
  }
  co_return Outcome<>{};
}

tl::unexpected<control::Failure> FuseDevices::keeper_failure(Error error,
                                                             std::string_view doing) const {
  std::string said = keeper_ ? keeper_->message() : std::string{};
  return failure(error.code, "{}: {}{}{}", doing, to_string(error), said.empty() ? "" : ": ", said);
}

io::Task<Outcome<std::vector<FuseDevices::Held>>> FuseDevices::held() {
  Use use(*this);
  auto reached = co_await reach_keeper();
  if (!reached) co_return tl::unexpected(reached.error());
  std::vector<Held> held;
  std::vector<std::string> names;
  for (VolumeId volume : devices_->waiting()) {
    held.push_back({volume, devices_->waiting_name(volume)});
    names.push_back(held.back().name);
  }
  auto kept = frontend::keep_device_links(dev_dir_, names);
  if (!kept) LOG_WARN("{}: {}", dev_dir_, to_string(kept.error()));
  co_return held;
}

io::Task<Outcome<bool>> FuseDevices::holds(VolumeId volume) {
  Use use(*this);
  auto reached = co_await reach_keeper();
  if (!reached) co_return tl::unexpected(reached.error());
  co_return !devices_->waiting_name(volume).empty();
}

io::Task<Outcome<control::AttachedVolume>> FuseDevices::serve(VolumeId volume, std::string name,
                                                              engine::BlockDevice& device) {
  Use use(*this);
  auto reached = co_await reach_keeper();
  if (!reached) co_return tl::unexpected(reached.error());
  auto served = std::make_unique<Served>(loop_, buffers_, device, name);
  auto path = co_await devices_->attach(volume, name, served->aligned);
  if (!path) {
    auto failed = keeper_failure(path.error(), fmt::format("no device for volume {}", name));
    auto undone = co_await devices_->detach(volume, true);
    if (!undone) LOG_WARN("volume {}: {}", name, to_string(undone.error()));
    co_return failed;
  }
  served_[volume] = std::move(served);
  auto linked = frontend::make_device_link(dev_dir_, name, *path);
  if (!linked) {
    auto undone = co_await withdraw(volume, true);
    if (!undone) LOG_WARN("{}", undone.error().message);
    co_return failure_from(linked.error(), fmt::format("cannot make {}/{}", dev_dir_, name));
  }
  control::AttachedVolume attached;
  attached.volume = volume;
  attached.frontend = control::Frontend::kFuse;
  attached.device = frontend::device_link_path(dev_dir_, name);
  co_return attached;
}

bool FuseDevices::serves(VolumeId volume) const {
  return served_.contains(volume) && devices_ && devices_->serves(volume);
}

bool FuseDevices::is_held(VolumeId volume) const {
  if (served_.contains(volume)) return true;
  return devices_ && !devices_->waiting_name(volume).empty();
}

io::Task<Outcome<>> FuseDevices::withdraw(VolumeId volume, bool force) {
  if (!is_held(volume)) co_return Outcome<>{};
  Use use(*this);
  std::string name = devices_->waiting_name(volume);
  auto ended = co_await devices_->detach(volume, force);
  if (!ended) {
    if (ended.error().code == Code::kBusy) {
      co_return failure(Code::kBusy, "the device {}, or use --force to fail its I/O",
                        name.empty() ? "is mounted or open: unmount it first"
                                     : "is not served again yet: wait for that");
    }
    co_return keeper_failure(ended.error(),
                             fmt::format("cannot take down the device of {}", volume.value));
  }
  std::unique_ptr<Served> served;
  auto found = served_.find(volume);
  if (found != served_.end()) {
    served = std::move(found->second);
    served_.erase(found);
    name = served->name;
  }
  auto unlinked = frontend::remove_device_link(dev_dir_, name);
  if (!unlinked) LOG_WARN("{}/{}: {}", dev_dir_, name, to_string(unlinked.error()));
  co_return Outcome<>{};
}

io::Task<Outcome<>> FuseDevices::resized(VolumeId volume) {
  if (!devices_ || !served_.contains(volume)) co_return Outcome<>{};
  Use use(*this);
  auto told = co_await devices_->resize(volume);
  if (!told) co_return keeper_failure(told.error(), "the device does not take its new size");
  co_return Outcome<>{};
}

io::Task<void> FuseDevices::leave() {
  has_left_ = true;
  while (is_reaching_) co_await reached_.wait();
  co_await drop_keeper();
}

io::Task<void> FuseDevices::drop_keeper() {
  if (devices_) co_await devices_->close();
  devices_.reset();
  served_.clear();
  if (keeper_) co_await keeper_->close();
  keeper_.reset();
}

}  // namespace cleat::node
