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

std::string conflict_of(const std::vector<Zone>& zones) {
  for (const Zone& x : zones) {
    if (!x.forward()) continue;
    for (const Zone& y : zones) {
      if (&x == &y) continue;
      bool overlap = y.forward() && x.low() < y.high() && y.low() < x.high();
      bool inside = !y.forward() && x.low() < y.low() && y.high() < x.high();
      if (overlap || inside) {
        return fmt::format("not linearizable: {} against {}", describe(x), describe(y));
      }
    }
  }
  return {};
}

}  // namespace

BlockHistory::WriteId BlockHistory::begin_write(Value value, TimePoint now) {
  segments_.back().writes.push_back(Write{++last_id_, value, now, std::nullopt});
  return last_id_;
}

void BlockHistory::end_write(WriteId id, TimePoint now, bool durable) {
  for (Segment& segment : segments_) {
    for (Write& write : segment.writes) {
      if (write.id != id || (write.begun < segment.begun && !durable)) continue;
      write.ended = now;
      write.durable = durable;
    }
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

// Values of this segment that may be found after it: what no flush has covered may be gone.
std::vector<Value> BlockHistory::survivors() const {
  const Segment& last = segments_.back();
  std::vector<Value> values;
  auto stays = [](const Write& write) { return write.ended && write.durable; };
  for (const Write& write : last.writes) {
    if (!write.ended) continue;
    bool overwritten = std::ranges::any_of(last.writes, [&](const Write& later) {
      return stays(later) && later.begun > *write.ended;
    });
    if (!overwritten) values.push_back(write.value);
  }
  if (!std::ranges::any_of(last.writes, stays)) {
    values.insert(values.end(), last.first_values.begin(), last.first_values.end());
  }
  return values;
}

void BlockHistory::begin_segment(std::vector<Value> first_values, bool with_unanswered,
                                 TimePoint now) {
  Segment next{{}, {}, std::move(first_values), now};
  for (const Write& write : segments_.back().writes) {
    if (with_unanswered && !write.ended) next.writes.push_back(write);
  }
  std::ranges::sort(next.first_values);
  auto repeated = std::ranges::unique(next.first_values);
  next.first_values.erase(repeated.begin(), repeated.end());
  segments_.push_back(std::move(next));
}

void BlockHistory::begin_segment(TimePoint now) { begin_segment(survivors(), true, now); }

void BlockHistory::restored(Value value, bool certain, TimePoint now) {
  std::vector<Value> values;
  if (!certain) values = survivors();
  values.push_back(value);
  begin_segment(std::move(values), !certain, now);
}

// Each read of zeros has a source: zeros at the beginning, or a zeroing, that no value has
// certainly overwritten.
std::string BlockHistory::check_zeros(const Segment& segment) {
  auto overwritten = [&segment](TimePoint since, const Read& read) {
    return std::ranges::any_of(segment.writes, [&](const Write& w) {
      return w.value != 0 && w.begun > since && w.ended && *w.ended < read.begun;
    });
  };
  bool at_first = std::ranges::binary_search(segment.first_values, Value{0});
  for (const Read& read : segment.reads) {
    if (read.value != 0) continue;
    if (at_first && !overwritten(TimePoint::min(), read)) continue;
    bool has_source = std::ranges::any_of(segment.writes, [&](const Write& w) {
      if (w.value != 0 || w.begun > read.ended) return false;
      return !w.ended || !overwritten(*w.ended, read);
    });
    if (!has_source) {
      return fmt::format(
          "a read at {:.3f} ms returned zeros, which nobody wrote, or which a later "
          "write had replaced",
          ms(read.ended));
    }
  }
  return {};
}

std::string BlockHistory::check_segment(const Segment& segment) {
  std::map<Value, Zone> values;
  std::vector<Zone> zones;
  for (const Write& write : segment.writes) {
    if (write.value == 0) {
      if (write.ended) zones.push_back(Zone{0, *write.ended, write.begun});
      continue;
    }
    Zone& zone = values.try_emplace(write.value, Zone{write.value}).first->second;
    zone.last_begin = std::max(zone.last_begin, write.begun);
    if (write.ended) zone.first_end = std::min(zone.first_end, *write.ended);
  }
  for (const Read& read : segment.reads) {
    if (read.value == 0) {
      zones.push_back(Zone{0, read.ended, read.begun});
      continue;
    }
    auto found = values.find(read.value);
    if (found == values.end()) {
      if (!std::ranges::binary_search(segment.first_values, read.value)) {
        return fmt::format(
            "a read at {:.3f} ms returned {}, which nobody wrote or which was lost for good",
            ms(read.ended), read.value);
      }
      // The first value: as if written just before the segment.
      found = values.try_emplace(read.value, Zone{read.value}).first;
      found->second.first_end = segment.begun;
      found->second.last_begin = segment.begun;
    }
    found->second.first_end = std::min(found->second.first_end, read.ended);
    found->second.last_begin = std::max(found->second.last_begin, read.begun);
  }
  // Unanswered and never seen: it may never have happened.
  for (const auto& [value, zone] : values) {
    if (zone.first_end != TimePoint::max()) zones.push_back(zone);
  }
  std::string wrong = conflict_of(zones);
  return wrong.empty() ? check_zeros(segment) : wrong;
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
