// What a replica accepts (R4). Pure: the engine asks before and after each operation.
//
// A process that has just started admits nothing until it is fenced, be it at the epoch it stored: it may
// have lost acknowledged writes with the power, and its primary must hear that first.
//
// A fence of a higher epoch shuts the door to the older one at once, waits until the operations that were
// let in have ended, makes the epoch durable, and only then answers. So no write of an older epoch can
// reach the disk after the new primary has the answer, and a restarted replica can't accept the old one.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/check.h"
#include "common/ids.h"

namespace cleat::core {

class ReplicaFsm {
 public:
  explicit ReplicaFsm(Epoch durable) : durable_(durable), door_(durable) {}

  enum class Admission : uint8_t {
    kAdmitted,   // call end_operation() when it has ended
    kStale,      // a lower epoch than one known here: the sender is fenced
    kNotFenced,  // this epoch has not fenced this process: fence first
  };
  Admission admit(Epoch epoch) {
    if (epoch < door_) return Admission::kStale;
    if (epoch > durable_ || !fenced_) return Admission::kNotFenced;
    ++under_way_;
    return Admission::kAdmitted;
  }
  void end_operation() {
    CHECK(under_way_ > 0, "an operation ends once");
    --under_way_;
  }

  enum class Fence : uint8_t {
    kStale,    // refuse
    kAnswer,   // this epoch is durable already: answer
    kPersist,  // wait for drained(), make it durable, call persisted(), answer
  };
  Fence fence(Epoch epoch) {
    if (epoch < door_) return Fence::kStale;
    if (epoch == durable_) {
      fenced_ = true;
      return Fence::kAnswer;
    }
    door_ = epoch;
    return Fence::kPersist;
  }
  bool drained() const { return under_way_ == 0; }
  // False when a still higher fence came meanwhile: then this one is refused as stale.
  bool persisted(Epoch epoch) {
    durable_ = std::max(durable_, epoch);
    fenced_ = epoch == door_;
    return fenced_;
  }

  Epoch durable() const { return durable_; }
  Epoch highest_seen() const { return door_; }

 private:
  Epoch durable_;  // what the store holds
  Epoch door_;     // operations below this are refused; at least durable_
  bool fenced_ = false;
  uint32_t under_way_ = 0;
};

}  // namespace cleat::core
