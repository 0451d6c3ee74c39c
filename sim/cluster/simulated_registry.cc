#include "sim/cluster/simulated_registry.h"

namespace cleat::sim {
namespace {

constexpr Duration kCallTimeout = 2s;

int in_sync_count(const core::VolumeRecord& record) {
  int count = 0;
  for (const auto& replica : record.replicas) {
    if (replica.state == core::ReplicaState::kInSync) ++count;
  }
  return count;
}

}  // namespace

// One way of a call; false when it does not get through.
io::Task<bool> SimulatedRegistry::pass() {
  auto micros = static_cast<int64_t>(loop_.random().between(200, 8000));
  co_await loop_.sleep(std::chrono::microseconds(micros));
  if (ended_) co_return false;
  if (state_.reachable(host_)) co_return true;
  co_await loop_.sleep(kCallTimeout);
  co_return false;
}

io::Task<Result<engine::VersionedRecord>> SimulatedRegistry::load(VolumeId volume) {
  bool asked = co_await pass();
  if (!asked) co_return fail(Code::kUnreachable, "the metadata is away");
  const engine::VersionedRecord* found = state_.find(volume);
  if (found == nullptr) co_return fail(Code::kNotFound, "no such volume");
  engine::VersionedRecord seen = *found;
  bool answered = co_await pass();
  if (!answered) co_return fail(Code::kTimedOut, "the metadata did not answer");
  co_return seen;
}

io::Task<Result<uint64_t>> SimulatedRegistry::compare_and_store(uint64_t revision,
                                                                const core::VolumeRecord& next) {
  core::VolumeRecord wanted = next;
  bool asked = co_await pass();
  if (!asked) co_return fail(Code::kUnreachable, "the metadata is away");
  const engine::VersionedRecord* found = state_.find(wanted.id);
  if (found == nullptr) co_return fail(Code::kNotFound, "no such volume");
  if (found->revision != revision) co_return fail(Code::kConflict, "changed meanwhile");
  bool removal = in_sync_count(wanted) < in_sync_count(found->record);
  if (lies_about_removals && removal) co_return revision;
  state_.put(wanted);
  uint64_t stored = state_.find(wanted.id)->revision;
  bool answered = co_await pass();
  if (!answered || loop_.random().chance(state_.lost_answer_chance)) {
    co_return fail(Code::kTimedOut, "the answer was lost");
  }
  co_return stored;
}

}  // namespace cleat::sim
