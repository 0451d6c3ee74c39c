// What a replica accepts (R4). Pure: the engine asks before and after each operation.
//
// A process that has just started admits nothing until it is fenced, be it at the epoch it stored:
// it may have lost acknowledged writes with the power, and its primary must hear that first.
//
// A fence shuts the door to every message of an earlier one at once, waits until the operations
// that were let in have ended, makes the epoch durable if it is a higher one, and only then
// answers. So no write of an older epoch can reach the disk after the new primary has the answer,
// and a restarted replica can't accept the old one. The number does the same inside an epoch: what
// a primary sent over a connection that it gave up may arrive long after the replica has left, was
// copied to, and is in sync again.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>

#include "common/check.h"
#include "common/ids.h"

namespace cleat::core {

// Which fence a message follows.
struct FenceAt {
  Epoch epoch;
  uint32_t number = 0;  // grows with each fence that the epoch's primary sends
  auto operator<=>(const FenceAt&) const = default;
};

class ReplicaFsm {
 public:
  explicit ReplicaFsm(Epoch durable) : durable_(durable), door_{durable, 0} {}

  enum class Admission : uint8_t {
    kAdmitted,   // call end_operation() when it has ended
    kStale,      // a lower epoch than one known here: the sender is fenced
    kNotFenced,  // this process has not answered this fence, or a later one: fence again
  };
  Admission admit(FenceAt at) {
    if (at.epoch < door_.epoch) return Admission::kStale;
    if (at != door_ || !fenced_) return Admission::kNotFenced;
    ++under_way_;
    return Admission::kAdmitted;
  }
  void end_operation() {
    CHECK(under_way_ > 0, "an operation ends once");
    --under_way_;
  }

  enum class Fence : uint8_t {
    kStale,   // a lower epoch: refuse
    kLate,    // overtaken by a later fence of its own epoch: refuse
    kAnswer,  // it holds already: answer
    kDrain,   // wait for drained(), make the epoch durable if it is not, call fenced(), answer
  };
  Fence fence(FenceAt at) {
    if (at.epoch < door_.epoch) return Fence::kStale;
    if (at < door_) return Fence::kLate;
    if (at == door_ && fenced_) return Fence::kAnswer;
    door_ = at;
    fenced_ = false;
    return Fence::kDrain;
  }
  bool drained() const { return under_way_ == 0; }
  // A later fence came while this one waited: it is refused, and need not wait.
  bool overtaken(FenceAt at) const { return at != door_; }
  // The epoch is durable. False when a still later fence came meanwhile: then this one is refused.
  bool fenced(FenceAt at) {
    durable_ = std::max(durable_, at.epoch);
    if (at != door_) return false;
    fenced_ = true;
    return true;
  }

  Epoch durable() const { return durable_; }
  Epoch highest_seen() const { return door_.epoch; }

 private:
  Epoch durable_;  // what the store holds
  FenceAt door_;   // messages of another fence are refused; its epoch is at least durable_
  bool fenced_ = false;
  uint32_t under_way_ = 0;
};

}  // namespace cleat::core
