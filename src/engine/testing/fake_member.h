// A replica that is nothing but its answers, for tests of what the primary does with them.
#pragma once

#include <xxhash.h>

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/member.h"
#include "engine/payloads.h"
#include "engine/volume_registry.h"
#include "sim/simulated_loop.h"
#include "wire/codec.h"

namespace cleat::engine {

// What a test sets and looks at; outlives the members that refer to it.
struct FakeReplica {
  // Decides each call, by type; nothing: it succeeds.
  std::function<std::optional<Error>(const wire::Header&)> fails;
  bool silent = false;                    // calls end with kTimedOut after their timeout
  std::optional<wire::Type> silent_from;  // the first call of this type makes it silent
  std::optional<wire::Type> stuck_at;     // calls of this type need a disk that does not answer
  std::function<Duration(const wire::Header&)> takes;  // beside the 100 us of every call
  // Its answer to kNextChanged, whose base is none for 0 blocks of payload; nothing: no change.
  std::function<BlockRange(const wire::Header&, std::optional<SnapshotId> base)> changed;
  std::vector<core::DirtyRegion> dirty;
  uint32_t given_up = 0;
  std::vector<wire::Header> calls;
  FenceAnswer fence;

  size_t count(wire::Type type) const {
    size_t found = 0;
    for (const wire::Header& call : calls) found += call.type == type ? 1 : 0;
    return found;
  }
};

class FakeMember final : public Member {
 public:
  FakeMember(sim::SimulatedLoop& loop, FakeReplica& replica) : loop_(loop), replica_(replica) {}

  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration timeout) override {
    wire::Header copy = request;
    CO_TRY(co_await answer(copy, timeout));
    answer_zeros(copy.type, into);
    if (copy.type == wire::Type::kNextChanged) copy.range = next_changed(request, payload);
    co_return copy;
  }
  io::Task<Result<Answer>> query(const wire::Header& request, ConstBuffer,
                                 Duration timeout) override {
    wire::Header copy = request;
    CO_TRY(co_await answer(copy, timeout));
    Answer given{copy, {}};
    if (copy.type == wire::Type::kFence) given.payload = encode_fence(replica_.fence);
    if (copy.type == wire::Type::kDirtyRegions) given.payload = encode_dirty(replica_.dirty);
    co_return given;
  }
  void give_up() override { ++replica_.given_up; }

 private:
  // Every block is zeros, and has the digest of those.
  static void answer_zeros(wire::Type type, MutableBuffer into) {
    std::array<std::byte, kBlockSize> zeros{};
    uint64_t digest = type == wire::Type::kDigest ? XXH3_64bits(zeros.data(), zeros.size()) : 0;
    for (size_t at = 0; at + sizeof digest <= into.size(); at += sizeof digest) {
      std::memcpy(into.data() + at, &digest, sizeof digest);
    }
  }
  BlockRange next_changed(const wire::Header& request, ConstBuffer payload) const {
    std::optional<SnapshotId> base;
    if (payload.size() == sizeof(uint64_t)) base = SnapshotId(*wire::Reader(payload).u64());
    return replica_.changed ? replica_.changed(request, base) : BlockRange{};
  }

  io::Task<Result<void>> answer(wire::Header request, Duration timeout) {
    replica_.calls.push_back(request);
    if (replica_.silent_from == request.type) replica_.silent = true;
    if (replica_.silent || replica_.stuck_at == request.type) {
      TimePoint give_up_at = loop_.now() + timeout;
      uint32_t given_up = replica_.given_up;
      while (loop_.now() < give_up_at && replica_.given_up == given_up) {
        co_await loop_.sleep(std::chrono::milliseconds(50));
      }
      if (replica_.given_up != given_up) co_return fail(Code::kUnreachable, "given up");
      co_return fail(Code::kTimedOut, "no answer");
    }
    Duration takes = std::chrono::microseconds(100);
    if (replica_.takes) takes += replica_.takes(request);
    co_await loop_.sleep(takes);
    std::optional<Error> error;
    if (replica_.fails) error = replica_.fails(request);
    if (error) co_return fail(*error);
    co_return Result<void>{};
  }

  sim::SimulatedLoop& loop_;
  FakeReplica& replica_;
};

// The record, in memory.
class FakeRegistry final : public VolumeRegistry {
 public:
  explicit FakeRegistry(core::VolumeRecord record) : current_{std::move(record), 1} {}

  bool away = false;
  // After a change was stored: true, and nobody hears of it because the metadata is away from now.
  std::function<bool(const core::VolumeRecord&)> loses_answer;

  io::Task<Result<VersionedRecord>> load(VolumeId) override {
    if (away) co_return fail(Code::kUnreachable, "the metadata is away");
    co_return current_;
  }
  io::Task<Result<uint64_t>> compare_and_store(uint64_t revision,
                                               const core::VolumeRecord& next) override {
    if (away) co_return fail(Code::kUnreachable, "the metadata is away");
    if (revision != current_.revision) co_return fail(Code::kConflict, "changed meanwhile");
    current_ = VersionedRecord{next, revision + 1};
    if (loses_answer && loses_answer(next)) {
      away = true;
      co_return fail(Code::kUnreachable, "the answer was lost");
    }
    co_return current_.revision;
  }
  std::string encode(const core::VolumeRecord& record) const override {
    return std::to_string(record.epoch.value);
  }
  const core::VolumeRecord& record() const { return current_.record; }
  // Before the volume is attached.
  core::VolumeRecord& edit() { return current_.record; }

 private:
  VersionedRecord current_;
};

}  // namespace cleat::engine
