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

// One way of a call. kUnreachable: it does not get through.
io::Task<Result<void>> SimulatedRegistry::pass() {
  auto micros = static_cast<int64_t>(loop_.random().between(200, 8000));
  co_await loop_.sleep(std::chrono::microseconds(micros));
  if (ended_) co_return fail(Code::kClosed, "the process ends");
  if (state_.reachable(host_)) co_return Result<void>{};
  co_await loop_.sleep(kCallTimeout);
  co_return fail(Code::kUnreachable, "the metadata is away");
}

io::Task<Result<engine::VersionedRecord>> SimulatedRegistry::load(VolumeId volume) {
  CO_TRY(co_await pass());
  const engine::VersionedRecord* found = state_.find(volume);
  if (found == nullptr) co_return fail(Code::kNotFound, "no such volume");
  engine::VersionedRecord seen = *found;
  CO_TRY(co_await pass());
  co_return seen;
}

io::Task<Result<uint64_t>> SimulatedRegistry::compare_and_store(uint64_t revision,
                                                                const core::VolumeRecord& next) {
  core::VolumeRecord wanted = next;
  CO_TRY(co_await pass());
  const engine::VersionedRecord* found = state_.find(wanted.id);
  if (found == nullptr) co_return fail(Code::kNotFound, "no such volume");
  if (found->revision != revision) co_return fail(Code::kConflict, "changed meanwhile");
  bool removal = in_sync_count(wanted) < in_sync_count(found->record);
  if (lies_about_removals && removal) co_return revision;
  state_.put(wanted);
  uint64_t stored = state_.find(wanted.id)->revision;
  CO_TRY(co_await pass());
  if (loop_.random().chance(state_.lost_answer_chance)) {
    co_return fail(Code::kTimedOut, "the answer was lost");
  }
  co_return stored;
}

}  // namespace cleat::sim
