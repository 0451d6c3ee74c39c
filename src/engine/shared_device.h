// The device of one sharer of a shared volume (ADR 9): sends each operation to the primary, and
// again to the next one when there was no answer.
//
// Threading: the loop. Ownership: borrows what Context names.
// Lifetime: start(), which returns at once; leave() or stop() must have returned before it dies.
#pragma once

#include <optional>
#include <vector>

#include "common/ids.h"
#include "engine/block_device.h"
#include "engine/share_link.h"
#include "engine/volume_registry.h"
#include "io/sync.h"
#include "io/task_group.h"

namespace cleat::engine {

struct ShareContext {
  io::Executor& executor;
  VolumeRegistry& registry;
  ShareLink& link;
  NodeId self;
  // How long an operation may wait for a primary before it fails with kTimedOut (R10).
  Duration wait_max = std::chrono::minutes(5);
  // Operations are numbered from here: no process of this node may use a number again.
  uint64_t first_number = 1;
};

class SharedDevice final : public BlockDevice {
 public:
  enum class Begin : uint8_t {
    kNew,  // the primary is asked to admit this node
    // A device of an earlier process. What the kernel sends again waits until resent() says that
    // it has all come.
    kResumed,
  };
  SharedDevice(const ShareContext& context, VolumeId volume, uint64_t size_blocks, Begin begin);
  ~SharedDevice() override;

  void start();
  // Waits until the primary has admitted it. kTimedOut, with why in words; or as ended().
  io::Task<Result<void>> joined(Duration timeout);
  void resent();
  // Tells the primary that this node is no sharer any more, then stop(). On an error it may still
  // be one, until it is expelled.
  io::Task<Result<void>> leave();
  // Operations under way, and later ones, fail with kClosed; those that this node's own primary
  // carries out end with it.
  void close();
  // close(), and waits until nothing is under way.
  io::Task<void> stop();

  uint64_t size_bytes() const override { return size_blocks_ * kBlockSize; }
  // Asks the primary.
  io::Task<Result<void>> refresh_size();
  // Set when this node was expelled, or the volume is gone: everything fails, for good.
  const std::optional<Error>& ended() const { return ended_; }
  // After close(): everything fails.
  bool closed() const { return stopping_; }
  const char* problem() const { return problem_; }

  io::Task<Result<void>> read(BlockRange range, MutableBuffer into) override;
  io::Task<Result<void>> write(BlockRange range, ConstBuffer from, WriteFlags flags) override;
  io::Task<Result<void>> zero(BlockRange range, WriteFlags flags) override;
  io::Task<Result<void>> flush() override;
  // Only now the primary is told that a change's answer arrived, and others may follow it.
  void delivered(BlockRange range) override;

 private:
  // With the primary; `number` is the primary's. None while joining.
  struct Session {
    NodeId primary;
    Epoch epoch;
    uint32_t number = 0;
    bool operator==(const Session&) const = default;
  };
  // A change that whoever asked for it has no answer to yet: named at every join.
  struct Change {
    core::UnansweredChange name;
    bool has_ended = false;
  };
  enum class Said : uint8_t { kDone, kFailed, kAgain };

  io::Task<Result<void>> operate(wire::Header request, ConstBuffer payload, MutableBuffer into);
  io::Task<Result<void>> repeat(const wire::Header& request, ConstBuffer payload,
                                MutableBuffer into);
  io::Task<Result<Session>> wait_for_session(TimePoint give_up_at);
  Said understand(const Session& session, const Result<wire::Header>& reply, Result<void>& outcome);
  wire::Header header(wire::Type type, BlockRange range) const;
  wire::Header in_session(wire::Header request, const Session& session) const;

  io::Task<void> join_loop();
  io::Task<void> join();
  io::Task<Result<void>> join_primary(NodeId primary);
  io::Task<Result<wire::Header>> ask_to_join(NodeId primary, wire::Header request,
                                             ConstBuffer payload);
  void lost(const Session& session);
  void end(Error reason);

  io::Task<void> heartbeats();
  void begin_confirm();
  io::Task<void> confirm();
  io::Task<bool> tell(Session session, std::vector<uint64_t> numbers);

  const ShareContext context_;
  const VolumeId volume_;
  uint64_t size_blocks_;
  bool is_new_;
  bool may_join_;  // nothing is missing that an earlier process had asked for
  std::optional<Session> session_;
  NodeId last_primary_;  // that it had a session with
  std::optional<Error> ended_;
  const char* problem_ = "";
  uint64_t next_number_;
  std::vector<Change> changes_;
  std::vector<uint64_t> to_confirm_;
  bool confirming_ = false;
  bool stopping_ = false;
  io::WaitQueue changed_;  // of the session
  io::TaskGroup tasks_;
  io::WaitQueue idle_;
  uint32_t inside_ = 0;
};

}  // namespace cleat::engine
