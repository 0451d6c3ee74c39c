// Both ends of a connection between two nodes, after its handshake: PeerClient calls, PeerServer
// answers. A node dials every node it needs: a connection carries requests in one direction only.
//
// Threading: one loop. Errors of a call are those of the way: what the peer's handler said is in
// the reply's header.error (Header::status()).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/buffer_pool.h"
#include "io/executor.h"
#include "io/stream.h"
#include "io/sync.h"
#include "io/task_group.h"
#include "wire/frame_reader.h"
#include "wire/frame_sender.h"
#include "wire/handshake.h"
#include "wire/messages.h"
#include "wire/request_handler.h"

namespace cleat::wire {

inline constexpr uint32_t kCallsInFlightMax = 4096;            // of one PeerClient
inline constexpr uint32_t kRequestsInFlightMax = 4096;         // of one connection of a PeerServer,
inline constexpr size_t kRequestBytesInFlightMax = 32 * kMiB;  // then it stops receiving
inline constexpr uint32_t kConnectionsMax = 256;               // of one PeerServer

// Calls to one peer over one connection.
//
// Lifetime: run() once, and it must have returned, with all calls, before the client dies.
class PeerClient {
  struct Call;

 public:
  // The calls that one of the connection's users has under way: it may give up its own and leaves
  // the others' alone.
  class Scope {
   public:
    Scope() = default;
    Scope(const Scope&) = delete;
    ~Scope();
    // Ends them with kUnreachable. One whose frame is half sent or half received goes on for up to
    // kHalfFramePatience; then the connection ends with it.
    void give_up();
    bool empty() const { return first_ == nullptr; }

   private:
    friend class PeerClient;
    Call* first_ = nullptr;
  };
  static constexpr Duration kHalfFramePatience = 2s;

  PeerClient(io::Executor& executor, io::BufferPool& buffers, std::unique_ptr<io::Stream> stream,
             Session session);
  PeerClient(const PeerClient&) = delete;
  ~PeerClient();

  // Sends and receives until the connection ends.
  io::Task<void> run();
  // Ends the connection and, with kClosed, every call. Any number of times.
  void shutdown();
  // Ends the connection, and with kUnreachable every call, when calls have waited this long and
  // nothing at all has come.
  void end_if_silent(Duration silence);
  bool is_open() const { return open_; }
  const Session& session() const { return session_; }
  size_t calls_in_flight() const { return in_flight_; }
  uint64_t stray_replies() const { return stray_replies_; }  // to calls that had ended before

  // One request, one reply. Requests go out in the order of the calls (of their first run).
  // `payload` must stay alive until the call returns; nothing refers to it afterwards, whatever the
  // outcome. kUnreachable when the connection is or gets lost: every call ends at once. kTimedOut:
  // the peer may or may not have done it; the connection goes on unless the request was half sent
  // or the reply half received. kLimit: kCallsInFlightMax. kClosed after shutdown().
  // kInvalidArgument: too large a payload. `scope`, if any, outlives the call.
  io::Task<Result<Message>> call(Header request, ConstBuffer payload, Duration timeout,
                                 Scope* scope = nullptr);
  // The payload in parts, at most kPayloadPartsMax; the array of parts stays alive too.
  io::Task<Result<Message>> call_parts(Header request, std::span<const ConstBuffer> payload,
                                       Duration timeout);
  // The reply's payload is received straight into `into`. A reply that is ok has exactly that many
  // bytes (else kCorrupt, and the connection ends); when the reply has an error, `into` is
  // untouched.
  io::Task<Result<Header>> call_into(Header request, MutableBuffer into, Duration timeout,
                                     Scope* scope = nullptr);

 private:
  struct AnswerAwaiter;
  struct Slot {
    Call* call = nullptr;
    uint32_t next_free = 0;
  };

  io::Task<Result<Header>> exchange(Call& call, Header request, Duration timeout);
  Result<void> enlist(Call& call);
  void retire(Call& call);
  void give_up(Call& call);
  static void leave_scope(Call& call);
  static bool refers_to(const Call& call);
  Call* find(uint64_t request_id);
  void complete(Call& call, Result<Header> result);
  io::Task<void> send_requests();
  io::Task<Result<void>> take_reply(Header header);
  io::Task<Result<void>> take_payload(Header header, uint64_t request_id);
  void end(Error why, Code calls_get);

  io::Executor& executor_;
  io::BufferPool& buffers_;
  std::unique_ptr<io::Stream> stream_;
  const Session session_;
  FrameSender sender_;
  FrameReader reader_;
  io::TaskGroup group_;
  io::WaitQueue received_;  // a receive into a caller's memory has ended
  std::vector<Slot> slots_;
  uint32_t first_free_;
  uint64_t calls_begun_ = 0;
  size_t in_flight_ = 0;
  uint64_t stray_replies_ = 0;
  TimePoint quiet_since_;  // the last reply, or the first call after a time without any
  bool open_ = true;
  bool running_ = false;
  Error ended_with_{Code::kClosed};
};

// Answers the requests of any number of peers.
//
// Lifetime: close() must have returned before the server dies.
class PeerServer {
 public:
  PeerServer(io::Executor& executor, io::BufferPool& buffers, const Identity& identity,
             RequestHandler& handler);
  PeerServer(const PeerServer&) = delete;
  ~PeerServer();

  // Serves every connection of the listener until it is closed; returns its error (kClosed).
  io::Task<Result<void>> listen(io::Listener& listener);
  // Handshake, then requests, until the connection ends and the last of its requests is answered.
  io::Task<void> serve(std::unique_ptr<io::Stream> stream);
  // Ends every connection and waits for their requests. Close the listener first.
  io::Task<void> close();

  size_t connections() const { return connections_.size(); }

 private:
  class Connection;

  io::Executor& executor_;
  io::BufferPool& buffers_;
  const Identity identity_;
  RequestHandler& handler_;
  io::TaskGroup group_;
  std::vector<io::Stream*> connections_;
  bool closing_ = false;
};

}  // namespace cleat::wire
