// One client: the handshake, then its requests, each served as it comes, answered in the order in
// which they complete.
//
// Bounds: kRequestsMax requests and kBudgetBytesMax of their data at once; the client's further
// requests wait in its socket.
// Threading: the loop of the volumes. Ownership: owns the stream, borrows the rest.
#pragma once

#include <memory>
#include <vector>

#include "frontend/nbd/export.h"
#include "frontend/nbd/negotiation.h"
#include "frontend/nbd/receive_buffer.h"
#include "frontend/nbd/reply_queue.h"
#include "frontend/nbd/request.h"
#include "io/buffer_pool.h"
#include "io/stream.h"
#include "io/task_group.h"

namespace cleat::nbd {

class Connection {
 public:
  static constexpr size_t kRequestsMax = 256;
  static constexpr uint64_t kBudgetBytesMax = 2 * uint64_t{kPayloadBytesMax};
  static constexpr uint64_t kPartBytesMax = 1 << 20;  // what goes to the device as one operation

  Connection(io::Executor& executor, io::BufferPool& pool, ExportDirectory& directory,
             std::unique_ptr<io::Stream> stream);

  // Until the client leaves, breaks the protocol or shutdown(); every request is done then.
  // An error says why it ended early; kClosed when the client just left.
  io::Task<Result<void>> run();
  void shutdown() { stream_->shutdown(); }

 private:
  io::Task<Result<Export*>> negotiate();
  io::Task<Result<void>> send(std::vector<std::byte>& out);
  io::Task<void> transmit(Export& volume, Result<void>& ending);
  io::Task<Result<void>> take_requests();
  void start(const Request& request, uint64_t charge);
  io::Task<void> wait_for_room(uint64_t charge);
  io::Task<Result<void>> take_write(Request request, uint64_t charge);
  io::Task<Result<void>> take_long_write(Request request, uint64_t charge);

  io::Task<void> serve_read(Request request, uint64_t charge);
  io::Task<void> serve_long_read(Request request, uint64_t charge);
  io::Task<void> serve_write(Request request, io::PooledBuffer cover, uint64_t charge);
  io::Task<void> serve_part(frontend::ByteRange part, io::PooledBuffer cover,
                            engine::WriteFlags flags, Result<void>& result);
  io::Task<void> serve_other(Request request, uint64_t charge);

  bool has_room(uint64_t charge) const;
  void answer(const Request& request, uint32_t error, uint64_t charge, Payload payload = {},
              std::vector<Payload> more = {});

  io::BufferPool& pool_;
  ExportDirectory& directory_;
  std::unique_ptr<io::Stream> stream_;
  ReceiveBuffer received_;
  ReplyQueue replies_;
  io::WaitQueue room_;
  size_t requests_ = 0;
  uint64_t budget_used_ = 0;
  Export* volume_ = nullptr;
  io::TaskGroup serving_;
};

}  // namespace cleat::nbd
