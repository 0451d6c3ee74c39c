// The history of one volume's blocks, and whether each block was a linearizable register.
//
// Values are unique. For each value the operations on it (its write and the reads that returned it)
// span a zone; blocks are linearizable if and only if no two forward zones overlap and no backward
// zone lies inside a forward one (Gibbons and Korach, Testing Shared Memories, SIAM J. Computing
// 1997, section 4). A write without an answer may have happened at any time after its call, or
// never.
//
// Zeros are the one value that is not unique: each zeroing and each read of zeros is a backward
// zone of its own, and a read of zeros needs a zeroing that may still have been in force.
//
// Power loss: begin_segment() closes the books. What the next segment starts from must be a value
// that was not overwritten by a write that was flushed before. A write without an answer goes over
// into it and stays one: its answer may have been on the way when the replica lost its power. A
// restored snapshot begins a segment, too: with what it held.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/time.h"

namespace cleat::sim {

using Value = uint64_t;  // 0: never written, or zeroed

class BlockHistory {
 public:
  using WriteId = uint64_t;
  WriteId begin_write(Value value, TimePoint now);
  void end_write(WriteId id, TimePoint now, bool durable);
  void end_read(Value value, TimePoint begun, TimePoint now);
  // Everything that was acknowledged before `begun` is durable.
  void flushed(TimePoint begun);
  // Acknowledged writes that were not flushed may be gone from here on.
  void begin_segment(TimePoint now);
  // A snapshot was restored while nothing was under way. Not certain: or it was not.
  void restored(Value value, bool certain, TimePoint now);

  // Empty when all is well; else what is wrong.
  std::string check() const;
  size_t segments() const { return segments_.size(); }

 private:
  struct Write {
    WriteId id;
    Value value;
    TimePoint begun;
    std::optional<TimePoint> ended;
    bool durable = false;
  };
  struct Read {
    Value value;
    TimePoint begun;
    TimePoint ended;
  };
  struct Segment {
    std::vector<Write> writes;
    std::vector<Read> reads;
    std::vector<Value> first_values;  // it starts with one of these
    TimePoint begun;
  };

  static std::string check_segment(const Segment& segment);
  static std::string check_zeros(const Segment& segment);
  std::vector<Value> survivors() const;
  void begin_segment(std::vector<Value> first_values, bool with_unanswered, TimePoint now);

  WriteId last_id_ = 0;
  std::vector<Segment> segments_{Segment{{}, {}, {0}, {}}};
};

class VolumeHistory {
 public:
  explicit VolumeHistory(size_t blocks) : blocks_(blocks) {}
  BlockHistory& block(size_t index) { return blocks_[index]; }
  size_t size() const { return blocks_.size(); }
  Value next_value() { return ++last_value_; }
  void flushed(TimePoint begun);
  void begin_segment(TimePoint now);
  std::string check() const;

 private:
  std::vector<BlockHistory> blocks_;
  Value last_value_ = 0;
};

}  // namespace cleat::sim
