#include "sim/cluster/history.h"

#include <fmt/format.h>

#include <algorithm>

namespace cleat::sim {
namespace {

struct Zone {
  Value value;
  TimePoint first_end = TimePoint::max();
  TimePoint last_begin = TimePoint::min();
  bool forward() const { return first_end < last_begin; }
  TimePoint low() const { return std::min(first_end, last_begin); }
  TimePoint high() const { return std::max(first_end, last_begin); }
};

double ms(TimePoint at) {
  return std::chrono::duration<double, std::milli>(at.time_since_epoch()).count();
}

std::string describe(const Zone& zone) {
  return fmt::format("value {} ({} zone {:.3f}..{:.3f} ms)", zone.value,
                     zone.forward() ? "forward" : "backward", ms(zone.low()), ms(zone.high()));
}

}  // namespace

BlockHistory::WriteId BlockHistory::begin_write(Value value, TimePoint now) {
  segments_.back().writes.push_back(Write{++last_id_, value, now, std::nullopt});
  return last_id_;
}

void BlockHistory::end_write(WriteId id, TimePoint now) {
  for (Segment& segment : segments_) {
    for (Write& write : segment.writes) {
      if (write.id == id) write.ended = now;
    }
  }
}

void BlockHistory::make_durable(WriteId id) {
  for (Write& write : segments_.back().writes) {
    if (write.id == id) write.durable = true;
  }
}

void BlockHistory::end_read(Value value, TimePoint begun, TimePoint now) {
  segments_.back().reads.push_back(Read{value, begun, now});
}

void BlockHistory::flushed(TimePoint begun) {
  for (Write& write : segments_.back().writes) {
    if (write.ended && *write.ended <= begun) write.durable = true;
  }
}

// Values of this segment that may be found after a power loss.
std::vector<Value> BlockHistory::survivors() const {
  const Segment& last = segments_.back();
  std::vector<Value> values;
  auto overwritten_after = [&last](TimePoint ended) {
    return std::ranges::any_of(
        last.writes, [ended](const Write& write) { return write.durable && write.begun > ended; });
  };
  for (const Write& write : last.writes) {
    if (write.ended && !overwritten_after(*write.ended)) values.push_back(write.value);
  }
  bool any_durable = std::ranges::any_of(last.writes, &Write::durable);
  if (!any_durable) {
    values.insert(values.end(), last.first_values.begin(), last.first_values.end());
  }
  return values;
}

void BlockHistory::begin_segment(TimePoint now) {
  Segment next{{}, {}, survivors(), now};
  for (const Write& write : segments_.back().writes) {
    if (!write.ended) next.writes.push_back(write);
  }
  std::ranges::sort(next.first_values);
  auto repeated = std::ranges::unique(next.first_values);
  next.first_values.erase(repeated.begin(), repeated.end());
  segments_.push_back(std::move(next));
}

std::string BlockHistory::check_segment(const Segment& segment) {
  std::map<Value, Zone> zones;
  std::map<Value, bool> known;
  for (const Write& write : segment.writes) {
    Zone& zone = zones.try_emplace(write.value, Zone{write.value}).first->second;
    zone.last_begin = std::max(zone.last_begin, write.begun);
    if (write.ended) zone.first_end = std::min(zone.first_end, *write.ended);
    known[write.value] = true;
  }
  for (const Read& read : segment.reads) {
    auto found = zones.find(read.value);
    if (found == zones.end()) {
      if (!std::ranges::binary_search(segment.first_values, read.value)) {
        return fmt::format(
            "a read at {:.3f} ms returned {}, which nobody wrote or which was lost for good",
            ms(read.ended), read.value);
      }
      // The first value: as if written just before the segment.
      found = zones.try_emplace(read.value, Zone{read.value}).first;
      found->second.first_end = segment.begun;
      found->second.last_begin = segment.begun;
    }
    found->second.first_end = std::min(found->second.first_end, read.ended);
    found->second.last_begin = std::max(found->second.last_begin, read.begun);
  }
  // Unanswered and never seen: it may never have happened.
  std::erase_if(zones,
                [](const auto& entry) { return entry.second.first_end == TimePoint::max(); });
  for (auto a = zones.begin(); a != zones.end(); ++a) {
    for (auto b = zones.begin(); b != zones.end(); ++b) {
      if (a == b) continue;
      const Zone& x = a->second;
      const Zone& y = b->second;
      bool overlap = x.forward() && y.forward() && x.low() < y.high() && y.low() < x.high();
      bool inside = x.forward() && !y.forward() && x.low() < y.low() && y.high() < x.high();
      if (overlap || inside) {
        return fmt::format("not linearizable: {} against {}", describe(x), describe(y));
      }
    }
  }
  return {};
}

std::string BlockHistory::check() const {
  for (const Segment& segment : segments_) {
    std::string wrong = check_segment(segment);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

void VolumeHistory::flushed(TimePoint begun) {
  for (BlockHistory& block : blocks_) block.flushed(begun);
}

void VolumeHistory::begin_segment(TimePoint now) {
  for (BlockHistory& block : blocks_) block.begin_segment(now);
}

std::string VolumeHistory::check() const {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    std::string wrong = blocks_[i].check();
    if (!wrong.empty()) return fmt::format("block {}: {}", i, wrong);
  }
  return {};
}

}  // namespace cleat::sim
