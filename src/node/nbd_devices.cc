#include "node/nbd_devices.h"

namespace cleat::node {

struct NbdDevices::Served {
  Served(io::EventLoop& loop, io::BufferPool& buffers, engine::BlockDevice& device,
         const std::string& name)
      : aligned(loop, buffers, device), volume(loop, aligned, name) {}
  frontend::AlignedDevice aligned;
  nbd::Export volume;
};

NbdDevices::NbdDevices(io::EventLoop& loop, io::BufferPool& buffers, io::UringNetwork& network,
                       std::string socket_path)
    : loop_(loop),
      buffers_(buffers),
      network_(network),
      socket_path_(std::move(socket_path)),
      server_(loop, buffers, exports_) {}

NbdDevices::~NbdDevices() = default;

io::Task<control::Outcome<>> NbdDevices::listen(std::string tcp_address) {
  std::vector<io::Address> addresses{{"unix:" + socket_path_}, {tcp_address}};
  for (const io::Address& address : addresses) {
    auto listener = co_await network_.listen(address);
    if (!listener) {
      co_return control::failure_from(
          listener.error(), fmt::format("the NBD server cannot listen on {}", address.text));
    }
    server_.serve(*std::move(listener));
  }
  co_return control::Outcome<>{};
}

io::Task<void> NbdDevices::leave() {
  co_await server_.close();
  for (auto& [volume, served] : served_) {
    exports_.remove(served->volume);
    co_await served->volume.close();
  }
  served_.clear();
}

io::Task<control::Outcome<control::AttachedVolume>> NbdDevices::serve(VolumeId volume,
                                                                      std::string name,
                                                                      engine::BlockDevice& device) {
  auto served = std::make_unique<Served>(loop_, buffers_, device, name);
  if (!exports_.add(served->volume)) {
    co_return control::failure(Code::kAlreadyExists, "an NBD export named {} exists already", name);
  }
  served_[volume] = std::move(served);
  control::AttachedVolume attached;
  attached.volume = volume;
  attached.frontend = control::Frontend::kNbd;
  attached.uri = fmt::format("nbd+unix:///{}?socket={}", name, socket_path_);
  co_return attached;
}

io::Task<control::Outcome<>> NbdDevices::withdraw(VolumeId volume, bool force) {
  auto found = served_.find(volume);
  if (found == served_.end()) co_return control::Outcome<>{};
  Served& served = *found->second;
  if (!force && served.volume.connection_count() > 0) {
    co_return control::failure(Code::kBusy,
                               "{} clients use the NBD export: end them first, or use --force",
                               served.volume.connection_count());
  }
  exports_.remove(served.volume);
  co_await served.volume.close();
  served_.erase(volume);
  co_return control::Outcome<>{};
}

io::Task<control::Outcome<>> NbdDevices::resized(VolumeId) {
  // A client learns the new size when it connects again: the protocol has no message for it.
  co_return control::Outcome<>{};
}

}  // namespace cleat::node
