// Serves the FUSE connection of one volume: the kernel's requests, read from /dev/fuse and answered
// there.
//
// The connection lives longer than the process that serves it (the keeper holds a descriptor too).
// A server that takes one over asks the kernel to resend what its predecessor read and did not
// answer. Such a request may have been carried out already; carrying it out again is right, because
//   - each of them (read, write at an offset, zero, flush) has the same effect twice as once;
//   - none was answered, so no application and no filesystem has begun anything that must come
//     after it;
//   - the kernel puts them before all that the predecessor never read, and nothing is read before
//     the notification, so no newer write can have been carried out before an older one of the same
//     process.
// The predecessor must be gone by then: whoever hands the descriptor over waits for the end of its
// process (keeper), and what it has still under way on other nodes is fenced by the new epoch (R3,
// R4).
//
// The descriptor is made not to wait (O_NONBLOCK, for good and for all who hold it). A request that
// was announced may be gone when it is read: another read of ours has it, which the kernel hands to
// a worker of its own once it came too late 128 times, or its caller was killed. /dev/fuse would
// then wait for the next request, in the loop's thread; the IOCB_NOWAIT of io_uring does not keep
// it from that, only this flag does.
//
// Threading: the loop of the volume. Ownership: owns the descriptor, borrows the rest; run() must
// have ended before it dies.
#pragma once

#include <array>
#include <vector>

#include "frontend/aligned_device.h"
#include "frontend/fuse/metadata.h"
#include "frontend/fuse/request_buffers.h"
#include "io/event_loop.h"
#include "io/file_descriptor.h"
#include "io/sync.h"
#include "io/task_group.h"

namespace cleat::fuse {

enum class Takeover : uint8_t { kNo, kYes };

class Server {
 public:
  Server(io::EventLoop& loop, io::BufferPool& pool, RequestBuffers& buffers,
         frontend::AlignedDevice& device, io::FileDescriptor connection);
  Server(const Server&) = delete;

  // At a takeover all that the kernel sends again has been passed on to the device when this waits
  // for the first time. Until stop() (no error) or until the connection ends: kClosed when it was
  // unmounted or aborted. kUnsupported at a takeover on a kernel before 6.9: requests that the
  // predecessor read would hang for ever; the caller must have the device taken down by force.
  io::Task<Result<void>> run(Takeover takeover);

  // Takes no more requests, and ends run() when those under way are done. From now on a request
  // that fails with kClosed or kCancelled, because the volume is being shut down too, is left
  // unanswered: a successor gets it again.
  void stop();

 private:
  // Every read that waits is woken by a request: one costs 8.5 us of CPU a write at depth 1, two
  // 10, four 11; at depth 32 it is 5.1, 4.3 and 4.4.
  static constexpr size_t kReadsPosted = 2;
  static constexpr size_t kServingMax = 256;
  // Data up to this size are copied out, so that the buffer of the largest size is free at once.
  static constexpr size_t kCopyBytesMax = 64 * 1024;
  static constexpr size_t kBuffersHeldMax = 8;

  Result<void> never_wait();
  Result<void> ask_for_resend();
  // All of it, whatever the limits of what is served at once, and a long discard in all its pieces:
  // what the volume does with it may depend on that it knows the whole.
  Result<void> take_resent();
  io::Task<void> read_requests(size_t index);
  bool may_read() const {
    return serving_.running() < kServingMax && buffers_held_ < kBuffersHeldMax;
  }
  // Takes what it needs longer than the call out of `buffer`.
  void take(RequestBuffer& buffer, size_t bytes);
  void take_write(const Request& request, RequestBuffer& buffer);

  io::Task<void> serve_metadata(Answer answer);
  io::Task<void> serve_read(Request request);
  io::Task<void> serve_write(Request request, frontend::ByteRange range, io::PooledBuffer cover);
  io::Task<void> serve_large_write(Request request, frontend::ByteRange range,
                                   RequestBuffer buffer);
  io::Task<void> serve_flush(Request request);
  io::Task<void> serve_fallocate(Request request, FallocateRequest fallocate);

  io::Task<void> finish_write(Request request, frontend::ByteRange range, Result<void> result);
  io::Task<void> finish_change(Request request, frontend::ByteRange range, Result<void> result);
  // False: it is left to the successor, or the kernel did not take the answer.
  io::Task<bool> finish(Request request, Result<void> result);
  io::Task<bool> send(ConstBuffer header, ConstBuffer data);
  bool leave_to_successor(const Result<void>& result) const;
  void end(Error error);

  io::EventLoop& loop_;
  io::BufferPool& pool_;
  RequestBuffers& buffers_;
  frontend::AlignedDevice& device_;
  io::FileDescriptor connection_;

  bool is_taking_over_ = false;
  bool is_stopping_ = false;
  bool has_ended_ = false;
  Result<void> ending_;
  size_t buffers_held_ = 0;
  std::array<io::UringOperation*, kReadsPosted> reading_{};
  io::WaitQueue room_;
  io::TaskGroup readers_;
  io::TaskGroup serving_;
};

}  // namespace cleat::fuse
