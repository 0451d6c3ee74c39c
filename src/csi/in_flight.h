// One call at a time for one thing: a second one is told to try again (ABORTED), as the CSI
// specification has it, in place of waiting in a thread.
//
// Threading: any thread. Lifetime: outlives its turns.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "common/failure.h"

namespace cleat::csi {

class InFlight {
 public:
  class Turn {
   public:
    Turn(InFlight& owner, std::string key) : owner_(&owner), key_(std::move(key)) {}
    Turn(Turn&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
    Turn(const Turn&) = delete;
    ~Turn() {
      if (owner_ != nullptr) owner_->end(key_);
    }

   private:
    InFlight* owner_;
    std::string key_;
  };

  // kConflict while another call has the turn.
  Outcome<Turn> begin(const std::string& key) {
    std::lock_guard lock(mutex_);
    if (keys_.insert(key).second) return Turn(*this, key);
    return failure(Code::kConflict, "another call for {} is under way: try again", key);
  }

 private:
  void end(const std::string& key) {
    std::lock_guard lock(mutex_);
    keys_.erase(key);
  }

  std::mutex mutex_;
  std::set<std::string> keys_;
};

}  // namespace cleat::csi
