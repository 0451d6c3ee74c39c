// The FUSE devices of one loop: each attached volume's connection, its server and its block device.
// What a node uses; the pieces are keeper_client.h and server.h.
//
// Threading: one loop. Ownership: borrows all that it is made from; close() before it dies.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frontend/fuse/keeper_client.h"
#include "frontend/fuse/server.h"

namespace cleat::fuse {

class DeviceSet {
 public:
  // `keeper` must be connected. Call adopt() before anything else.
  DeviceSet(io::EventLoop& loop, io::BufferPool& pool, RequestBuffers& buffers,
            KeeperClient& keeper);
  DeviceSet(const DeviceSet&) = delete;
  ~DeviceSet();

  // Asks the keeper what it holds from before this process began: those devices pause until
  // attach() serves them again, or detach() ends them. kBusy when the process before has not ended
  // within 10 s.
  io::Task<Result<void>> adopt();
  // Held by the keeper and not served yet.
  std::vector<VolumeId> waiting() const;
  // Of one that waits; empty when it does not.
  std::string waiting_name(VolumeId volume) const;

  // Serves the volume and answers its path, "/dev/loop3": a new device, or the one that waits.
  // `device` must live until detach() or close() ended. kAlreadyExists when it is served already.
  // Of one that waited, all that the kernel sent again has reached `device` when this returns.
  // After kUnsupported (a kernel that can't resend) only a forced detach() is left.
  io::Task<Result<std::string>> attach(VolumeId volume, std::string name,
                                       frontend::AlignedDevice& device);
  // kBusy when it is mounted or open: it goes on being served then. Forced: its I/O fails with EIO.
  // kBusy, too, for one that is waiting(): nobody serves what an orderly end would write.
  io::Task<Result<void>> detach(VolumeId volume, bool is_forced);
  // Attached, and its connection has not ended by itself (unmounted, aborted, or broken).
  bool serves(VolumeId volume) const;
  // After the AlignedDevice says a new size.
  io::Task<Result<void>> resize(VolumeId volume);
  // Stops serving and leaves every device to the next process. What its volume fails with kClosed
  // or kCancelled from now on is left to it too.
  io::Task<void> close();

  // Why the keeper refused, in words.
  const std::string& message() const { return keeper_.message(); }

 private:
  struct Served {
    explicit Served(io::Executor& executor) : ended(executor) {}
    std::unique_ptr<Server> server;
    frontend::AlignedDevice* device = nullptr;
    bool broke_off = false;  // by itself: nobody asked the server to stop
    Result<void> ending;
    io::Event ended;
  };

  void serve(VolumeId volume, frontend::AlignedDevice& device, io::FileDescriptor connection,
             Takeover takeover);
  io::Task<void> tell_growth(VolumeId volume, uint64_t size_bytes);
  io::Task<void> run(VolumeId volume, Served& served, Takeover takeover);

  io::EventLoop& loop_;
  io::BufferPool& pool_;
  RequestBuffers& buffers_;
  KeeperClient& keeper_;
  std::map<VolumeId, HeldDevice> waiting_;
  std::map<VolumeId, std::unique_ptr<Served>> served_;
  io::TaskGroup serving_;
};

}  // namespace cleat::fuse
