#include "core/share_table.h"

#include <algorithm>

namespace cleat::core {

bool ShareTable::conflict(const Entry& a, const Entry& b) {
  bool overlap = a.range.first < b.range.end() && b.range.first < a.range.end();
  return overlap && (a.is_change || b.is_change);
}

void ShareTable::expect(const std::vector<NodeId>& sharers) {
  expected_.insert(sharers.begin(), sharers.end());
}

ShareTable::Place ShareTable::find_held(NodeId sharer, uint64_t number) {
  return std::find_if(line_.begin(), line_.end(), [&](const Entry& entry) {
    return entry.state == State::kHeld && entry.sharer == sharer && entry.number == number;
  });
}

// Where a change that may have been carried out before is put: before everything that has not
// started. Unless it conflicts with something that has, and so was not: then behind that.
ShareTable::Place ShareTable::place_of_repeated(const Entry& repeated) {
  auto started = std::find_if(line_.rbegin(), line_.rend(), [&](const Entry& entry) {
    return entry.state != State::kWaiting && conflict(entry, repeated);
  });
  if (started != line_.rend()) return started.base();
  return std::find_if(line_.begin(), line_.end(),
                      [](const Entry& entry) { return entry.state == State::kWaiting; });
}

ShareTable::Place ShareTable::submit(NodeId sharer, uint64_t number, BlockRange range,
                                     bool is_change) {
  Place held = find_held(sharer, number);
  if (held != line_.end()) {
    held->state = State::kWaiting;
    return held;
  }
  return line_.insert(line_.end(), Entry{sharer, number, range, is_change});
}

bool ShareTable::may_start(Place place) const {
  if (!expected_.empty()) return false;
  for (const Entry& earlier : line_) {
    if (&earlier == &*place) return true;
    if (conflict(earlier, *place)) return false;
  }
  return true;
}

void ShareTable::answered(Place place) {
  if (!place->is_change) {
    line_.erase(place);
    return;
  }
  place->state = State::kHeld;
}

void ShareTable::abandon(Place place) {
  if (place->is_repeated) {
    place->state = State::kHeld;
  } else {
    line_.erase(place);
  }
}

void ShareTable::confirm(NodeId sharer, uint64_t number) {
  Place held = find_held(sharer, number);
  if (held != line_.end()) line_.erase(held);
}

void ShareTable::join(NodeId sharer, std::span<const UnansweredChange> unanswered) {
  line_.remove_if([&](const Entry& entry) {
    auto is_it = [&](const UnansweredChange& change) { return change.number == entry.number; };
    return entry.sharer == sharer && std::ranges::none_of(unanswered, is_it);
  });
  for (const UnansweredChange& change : unanswered) {
    Place place = find_held(sharer, change.number);
    if (place == line_.end()) {
      const Entry entry{sharer, change.number, change.range, true, State::kHeld};
      place = line_.insert(place_of_repeated(entry), entry);
    }
    place->is_repeated = true;
  }
  expected_.erase(sharer);
}

void ShareTable::forget(NodeId sharer) { join(sharer, {}); }

std::set<NodeId> ShareTable::waited_for() const {
  std::set<NodeId> sharers;
  for (auto waiting = line_.begin(); waiting != line_.end(); ++waiting) {
    if (waiting->state != State::kWaiting) continue;
    sharers.insert(expected_.begin(), expected_.end());
    for (auto earlier = line_.begin(); earlier != waiting; ++earlier) {
      if (earlier->state == State::kHeld && conflict(*earlier, *waiting)) {
        sharers.insert(earlier->sharer);
      }
    }
  }
  return sharers;
}

}  // namespace cleat::core
