// cleatd's side of the keeper's protocol (docs/formats/keeper.md), on the event loop.
//
// Threading: one loop. Ownership: borrows the loop; close() before it dies.
// Errors of calls: kUnreachable once the keeper is gone (connect a new client then: a keeper that
// died has taken its devices with it, see lost()); otherwise what the keeper says, with its
// sentence in message().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "io/event_loop.h"
#include "io/file_descriptor.h"
#include "io/sync.h"
#include "io/task_group.h"
#include "keeper/protocol.h"

namespace cleat::fuse {

struct HeldDevice {
  VolumeId volume;
  std::string name;
  uint64_t size_bytes = 0;
  keeper::DeviceState state = keeper::DeviceState::kNone;
  std::string path;  // empty while it is not ready
  io::FileDescriptor connection;
};

class KeeperClient {
 public:
  // kUnreachable when no keeper listens in this run directory.
  static Result<std::unique_ptr<KeeperClient>> connect(io::EventLoop& loop,
                                                       const std::string& run_dir);
  ~KeeperClient();

  // Makes a connection and begins to attach its loop device: serve the descriptor at once, then
  // await device_path(). Invalid when the keeper held the volume already (after a restart): its
  // descriptor comes by list().
  io::Task<Result<io::FileDescriptor>> create(VolumeId volume, std::string name,
                                              uint64_t size_bytes);
  // "/dev/loop3", once it is attached; somebody must serve the connection meanwhile. size_bytes as
  // in create().
  io::Task<Result<std::string>> device_path(VolumeId volume, uint64_t size_bytes);
  // kBusy while an earlier cleatd has not ended: it would serve the same connections. Waits up to
  // `patience` for its end.
  io::Task<Result<std::vector<HeldDevice>>> list(Duration patience);
  // After the volume grew and its server answers with the new size.
  io::Task<Result<void>> resize(VolumeId volume, uint64_t size_bytes);
  // kBusy when it is mounted or open. Forced: never; users get I/O errors. The server of the
  // connection ends with kClosed. No error when there was none.
  io::Task<Result<void>> destroy(VolumeId volume, bool is_forced);

  // Ends every call; the keeper goes on holding the devices.
  io::Task<void> close();
  bool is_lost() const { return is_lost_; }
  // Returns when the keeper is gone.
  auto lost() { return lost_.wait(); }
  // What the keeper said about the newest failure, for logs and people.
  const std::string& message() const { return message_; }

 private:
  struct Call;
  KeeperClient(io::EventLoop& loop, io::FileDescriptor socket);

  io::Task<void> receive();
  void dispatch(const keeper::Reply& reply, io::FileDescriptor descriptor);
  void lose();
  io::Task<Result<void>> call(Call& call, keeper::Request request);
  io::Task<Result<std::vector<HeldDevice>>> list_once();
  static keeper::Request request_of(keeper::RequestType type, VolumeId volume);

  io::EventLoop& loop_;
  io::FileDescriptor socket_;
  uint64_t request_count_ = 0;
  std::vector<Call*> calls_;
  bool is_lost_ = false;
  io::Event lost_;
  std::string message_;
  io::TaskGroup receiving_;
};

}  // namespace cleat::fuse
