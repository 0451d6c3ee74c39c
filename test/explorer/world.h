// A volume of one block, its three replicas and up to two primaries, as values that can be copied:
// what the explorer walks through. The rules are the real ones of src/core; the world only carries
// their messages, loses them, repeats them, kills processes, and checks after each step what must
// hold.
//
// Writes are numbered 1, 2, ... in the order of their start, and that number is the content of the
// block.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/attach_rules.h"
#include "core/in_sync_set.h"
#include "core/replica_fsm.h"
#include "core/write_pipeline.h"

namespace cleat::core::explorer {

inline constexpr int kReplicas = 3;
inline constexpr int kPrimaries = 2;

// Broken on purpose: each must lead to a violation.
enum class Mutation : uint8_t {
  kNone,
  kAcknowledgeEarly,   // R1
  kNoRemoval,          // R2: a failed member is not waited for, and stays in the record
  kIgnoreEpoch,        // R4
  kIgnoreFenceNumber,  // R4 inside an epoch
  kNoTakeover,         // R7: members are not made equal
  kJoinWithoutCopy,    // R8
};

struct Limits {
  int writes = 2;
  int drops = 0;
  int duplicates = 0;
  int crashes = 0;
  int failures = 1;  // that a primary sees, for whatever reason
  int resyncs = 1;
  int attaches = 2;
};

struct Action {
  enum class Kind : uint8_t {
    kAttach,
    kDeliver,
    kDrop,
    kDuplicate,
    kFail,
    kCommit,
    kMakeEqual,
    kWrite,
    kResync,
    kCrash
  };
  Kind kind = Kind::kAttach;
  int a = 0;  // the primary; for messages: which one
  int b = 0;  // the member
};
std::string describe(const Action& action);

struct Message {
  enum class Kind : uint8_t { kFence, kWrite, kCopy };
  Kind kind = Kind::kFence;
  bool reply = false;
  bool admitted = true;  // replies
  bool stale = false;    // replies: a higher epoch is known
  int primary = 0;
  MemberIndex member = 0;
  FenceAt at;
  int value = 0;
  int operation = 0;  // of the primary
  auto operator<=>(const Message&) const = default;
};

struct Replica {
  ReplicaFsm fsm{Epoch(1)};
  int value = 0;
};

struct Operation {
  int number = 0;
  OperationKind kind = OperationKind::kWrite;
  WritePipeline::Id id = WritePipeline::kNone;
  int value = 0;
  MemberIndex target = kNoMember;  // copies
  bool after_successor = false;    // it started when a later primary was open
};

struct Primary {
  enum class Phase : uint8_t { kIdle, kFencing, kEqualising, kOpen, kEnded };
  Phase phase = Phase::kIdle;
  Epoch epoch;
  std::optional<InSyncSet> set;
  WritePipeline pipeline;
  std::vector<FenceReply> replies;
  MemberSet answered;
  MemberSet to_copy;
  std::array<uint32_t, kReplicas> fences{};
  uint32_t last_fence = 0;
  std::vector<Operation> operations;
  int last_operation = 0;
};

class World {
 public:
  World(Limits limits, Mutation mutation);

  std::vector<Action> actions() const;
  void apply(const Action& action);
  // Empty when all holds.
  const std::string& violation() const { return violation_; }
  std::string key() const;
  int acknowledged() const { return acknowledged_; }

 private:
  // world.cc: the network and the replicas
  void send(Message message) { network_.push_back(message); }
  void deliver(const Message& message);
  void request(const Message& message);
  bool admits(Replica& replica, FenceAt at, bool& stale);
  void crash(int host);
  void check();
  void violated(std::string what);

  // world_primary.cc: the primaries
  void attach(int primary);
  void answer(const Message& message);
  void fenced(int primary, const Message& message);
  void fail(int primary, MemberIndex member);
  void commit(int primary);
  void make_equal(int primary);
  void write(int primary);
  void start(int primary, Operation& operation);
  void acknowledge(int primary, int number);
  void finish(int primary, int number);
  void begin_resync(int primary, MemberIndex member);
  void send_copy(int primary, MemberIndex from, MemberIndex to, int operation);
  void open_if_equal(int primary);
  void open(int primary);
  bool has_open_successor(const Primary& primary) const;
  bool can_commit(const Primary& primary) const;

  Limits limits_;
  Mutation mutation_;
  VolumeRecord record_;
  std::array<Replica, kReplicas> replicas_;
  std::array<Primary, kPrimaries> primaries_;
  std::vector<Message> network_;
  int writes_ = 0;
  int acknowledged_ = 0;  // the highest acknowledged write
  std::string violation_;
};

}  // namespace cleat::core::explorer
