// A replica that is nothing but its answers, for tests of what the primary does with them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/member.h"
#include "engine/payloads.h"
#include "engine/volume_registry.h"
#include "sim/simulated_loop.h"

namespace cleat::engine {

// What a test sets and looks at; outlives the members that refer to it.
struct FakeReplica {
  // Decides each call, by type; nothing: it succeeds.
  std::function<std::optional<Error>(const wire::Header&)> fails;
  bool silent = false;                    // calls end with kTimedOut after their timeout
  std::optional<wire::Type> silent_from;  // the first call of this type makes it silent
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

  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer, MutableBuffer into,
                                      Duration timeout) override {
    wire::Header copy = request;
    CO_TRY(co_await answer(copy, timeout));
    for (std::byte& byte : into) byte = std::byte{0};
    if (copy.type == wire::Type::kNextChanged) copy.range = BlockRange{};
    co_return copy;
  }
  io::Task<Result<Answer>> query(const wire::Header& request, ConstBuffer,
                                 Duration timeout) override {
    wire::Header copy = request;
    CO_TRY(co_await answer(copy, timeout));
    Answer given{copy, {}};
    if (copy.type == wire::Type::kFence) given.payload = encode_fence(replica_.fence);
    co_return given;
  }
  void give_up() override { ++replica_.given_up; }

 private:
  io::Task<Result<void>> answer(wire::Header request, Duration timeout) {
    replica_.calls.push_back(request);
    if (replica_.silent_from == request.type) replica_.silent = true;
    if (replica_.silent) {
      TimePoint give_up_at = loop_.now() + timeout;
      uint32_t given_up = replica_.given_up;
      while (loop_.now() < give_up_at && replica_.given_up == given_up) {
        co_await loop_.sleep(std::chrono::milliseconds(50));
      }
      if (replica_.given_up != given_up) co_return fail(Code::kUnreachable, "given up");
      co_return fail(Code::kTimedOut, "no answer");
    }
    co_await loop_.sleep(std::chrono::microseconds(100));
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

  io::Task<Result<VersionedRecord>> load(VolumeId) override {
    if (away) co_return fail(Code::kUnreachable, "the metadata is away");
    co_return current_;
  }
  io::Task<Result<uint64_t>> compare_and_store(uint64_t revision,
                                               const core::VolumeRecord& next) override {
    if (away) co_return fail(Code::kUnreachable, "the metadata is away");
    if (revision != current_.revision) co_return fail(Code::kConflict, "changed meanwhile");
    current_ = VersionedRecord{next, revision + 1};
    co_return current_.revision;
  }
  std::string encode(const core::VolumeRecord& record) const override {
    return std::to_string(record.epoch.value);
  }
  const core::VolumeRecord& record() const { return current_.record; }

 private:
  VersionedRecord current_;
};

}  // namespace cleat::engine
