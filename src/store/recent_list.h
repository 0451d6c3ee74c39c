// The writes that a replica holds and that are not known to be on every member (R7).
#pragma once

#include <deque>
#include <vector>

#include "core/types.h"

namespace cleat::store {

class RecentList {
 public:
  void add(core::RecentWrite write) { writes_.push_back(write); }
  // Sequence numbers arrive nearly in order: the few behind a later one are dropped once it goes.
  void known_everywhere(Seq through) {
    if (through > through_) through_ = through;
    while (!writes_.empty() && writes_.front().seq <= through_) writes_.pop_front();
  }
  void clear() {
    writes_.clear();
    through_ = Seq{};
  }
  // A new epoch numbers its writes from 1 again; what is listed of the old one stays.
  void restart_numbers() {
    std::erase_if(writes_, [this](const core::RecentWrite& w) { return w.seq <= through_; });
    through_ = Seq{};
  }
  bool empty() const { return writes_.empty(); }
  size_t count() const { return writes_.size(); }
  std::vector<core::RecentWrite> list() const {
    std::vector<core::RecentWrite> all;
    for (const auto& write : writes_) {
      if (write.seq > through_) all.push_back(write);
    }
    return all;
  }

 private:
  std::deque<core::RecentWrite> writes_;
  Seq through_;
};

}  // namespace cleat::store
