// A volume on its primary: the node where it is attached. Orders the volume's writes, has every
// in-sync replica do them, and answers when all have (R1). The way of one write: volume_io.cc.
//
// Threading: one loop for life. Ownership: borrows what Context names.
// Lifetime: attach(), then detach() or stop(), which must have returned before it dies.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "engine/block_device.h"
#include "engine/members.h"
#include "engine/membership.h"
#include "engine/operation_gate.h"
#include "engine/range_copier.h"
#include "engine/volume_context.h"
#include "engine/volume_status.h"
#include "engine/write_hold.h"
#include "io/buffer_pool.h"
#include "io/task_group.h"

namespace cleat::engine {

class Volume final : public BlockDevice {
 public:
  // R3 and R7. kBusy: attached elsewhere, and take_over is not set. kUnreachable: no member in sync
  // answered. kStaleEpoch: a replica knows a higher epoch (R11), or a later attach won.
  static io::Task<Result<std::unique_ptr<Volume>>> attach(VolumeContext context, VolumeId volume,
                                                          AttachRequest request);
  ~Volume() override;
  // Waits for the operations under way (later ones fail with kClosed), flushes, and writes the
  // clean detach. On an error it is stopped all the same, and its record says it is unclean.
  io::Task<Result<void>> detach();
  // Ends everything at once, as a killed process would: operations fail with kClosed.
  io::Task<void> stop();

  uint64_t size_bytes() const override;
  io::Task<Result<void>> read(BlockRange range, MutableBuffer into) override;
  io::Task<Result<void>> write(BlockRange range, ConstBuffer from, WriteFlags flags) override;
  io::Task<Result<void>> zero(BlockRange range, WriteFlags flags) override;
  io::Task<Result<void>> flush() override;

  // Freezes what is written on every in-sync member, and adds it to the record. Known id: success.
  io::Task<Result<void>> snapshot(core::SnapshotRecord snapshot);
  // Off the record first, then off the members; one that is away loses it when it is back.
  io::Task<Result<void>> delete_snapshot(SnapshotId snapshot);
  io::Task<Result<void>> restore(SnapshotId snapshot);
  io::Task<Result<void>> resize(uint64_t size_blocks);
  io::Task<Result<void>> add_replica(core::ReplicaRecord replica);
  io::Task<Result<void>> remove_replica(core::MemberIndex member, uint32_t in_sync_left_min = 1);
  // Nodes with a device of a shared volume (ADR 9). kLimit; success when it is one, or is none.
  io::Task<Result<void>> admit_sharer(NodeId node);
  io::Task<Result<void>> expel_sharer(NodeId node);
  // Reads each in-sync replica alone, region by region with the region's writes held, and compares.
  io::Task<Result<CheckReport>> check();
  WriteHold& write_hold() { return write_hold_; }
  // Waits until every replica of the record is in sync, or the time is over.
  io::Task<Result<void>> healed(Duration timeout);

  const core::VolumeRecord& record() const { return membership_.record(); }
  VolumeStatus status();
  const VolumeCounters& counters() const { return counters_; }
  // Set when the volume is finished: fenced, or its last replica lost acknowledged data.
  const std::optional<Error>& ended() const { return gate_.aborted(); }

 private:
  struct WriteContext;
  // stop() waits for whoever is inside.
  class Use {
   public:
    explicit Use(Volume& volume) : volume_(volume) { ++volume_.users_; }
    Use(const Use&) = delete;
    ~Use() {
      if (--volume_.users_ == 0) volume_.unused_.notify_all();
    }

   private:
    Volume& volume_;
  };
  enum class Answered : uint8_t { kYes, kGone, kError };

  Volume(VolumeContext context, VersionedRecord record);

  // attach.cc
  io::Task<Result<void>> open(core::PreviousAttach previous);
  io::Task<Result<std::vector<FenceAnswer>>> fence_members();
  io::Task<void> fence_until(core::MemberIndex member, TimePoint give_up_at,
                             std::vector<FenceAnswer>& answers, std::optional<Error>& error);
  io::Task<Result<void>> remove_unfenced(const std::vector<FenceAnswer>& answers);
  io::Task<Result<void>> make_equal(const std::vector<FenceAnswer>& answers);
  io::Task<Result<void>> reconcile_region(const core::ReconcilePlan& plan, BlockRange range);
  io::Task<Result<void>> removals_done();
  io::Task<Result<void>> adjust_member(core::MemberIndex member, const FenceAnswer& answer);
  core::MemberIndex local_member() const;
  bool ending() const { return stopping_ || detaching_ || gate_.aborted().has_value(); }

  // volume_io.cc
  io::Task<Result<void>> change(wire::Type type, BlockRange range, ConstBuffer data,
                                WriteFlags flags);
  io::Task<void> send_to_all(WriteContext& context, core::MemberSet members);
  io::Task<void> send(WriteContext& context, core::MemberIndex member);
  io::Task<Answered> answered(core::MemberIndex member, Error error, Error& result);
  io::Task<bool> fence_again(core::MemberIndex member);
  void settle_no_space(WriteContext& context);
  void expel_ahead(const WriteContext& context);
  io::Task<Result<void>> read_member(BlockRange range, MutableBuffer into);
  io::Task<void> repair(core::MemberIndex bad, core::MemberIndex good, BlockRange range);
  io::Task<Result<void>> wait_for_lease();
  core::MemberIndex read_source(core::MemberSet exclude);
  Result<void> check_operation(BlockRange range) const;
  // Waits for a last member that failed (R10); false when the operation should fail with `result`.
  io::Task<bool> wait_for_return(core::MemberIndex member, Error& result);

  // volume.cc
  io::Task<void> tick();
  io::Task<void> heartbeat(core::MemberIndex member);
  io::Task<void> stabilize();
  io::Task<void> stabilize_once();
  io::Task<Result<void>> settle_generation();
  io::Task<void> forget_stable();
  io::Task<Result<void>> flush_members();
  io::Task<Result<void>> on_all(core::MemberSet members, wire::Header request);
  io::Task<void> tell(core::MemberIndex member, wire::Header request, Result<void>& result);

  // volume_changes.cc
  io::Task<Result<void>> freeze_members(SnapshotId snapshot);
  io::Task<Result<void>> list_snapshot(core::SnapshotRecord snapshot);
  io::Task<Result<void>> finish_restore();
  io::Task<Result<void>> grow(uint64_t size_blocks);
  io::Task<void> freeze_member(core::MemberIndex member, SnapshotId snapshot, Result<void>& result);
  io::Task<void> forget_snapshot(core::MemberIndex member, SnapshotId snapshot);
  io::Task<Result<void>> begin_layers_change(const char* why);
  io::Task<Result<void>> layers_unchanged();

  // resync.cc
  io::Task<void> resync_loop();
  io::Task<Result<void>> resync(core::MemberIndex member);
  io::Task<Result<void>> resync_snapshots(core::MemberIndex member, const FenceAnswer& target);
  io::Task<Result<std::vector<SnapshotId>>> keep_snapshots(core::MemberIndex member,
                                                           const FenceAnswer& target);
  io::Task<Result<void>> resync_top(core::MemberIndex member);
  core::MemberIndex complete_source(Generation since);
  struct Copying;
  using DirtyRegions = std::vector<core::DirtyRegion>;
  io::Task<Result<DirtyRegions>> regions_to_sync(core::MemberIndex member, SnapshotId view,
                                                 std::optional<SnapshotId> base);
  io::Task<Result<DirtyRegions>> changed_regions(core::MemberIndex source, SnapshotId view,
                                                 std::optional<SnapshotId> base);
  io::Task<Result<void>> copy_regions(core::MemberIndex member, SnapshotId view,
                                      DirtyRegions regions);
  io::Task<void> copy_worker(Copying& copying);
  io::Task<Result<void>> copy_held(Copying& copying, BlockRange range);
  io::Task<Result<void>> copy_range(Copying& copying, BlockRange range);
  io::Task<void> throttle();
  void resync_failed(core::MemberIndex member, Error error);
  BlockRange region_range(uint64_t region) const;

  VolumeContext context_;
  OperationGate gate_;
  WriteHold write_hold_;
  Members members_;
  Membership membership_;
  RangeCopier copier_;
  io::TaskGroup group_;
  io::WaitQueue ticked_;
  io::WaitQueue unused_;
  uint32_t users_ = 0;
  VolumeCounters counters_;
  ResyncProgress resync_progress_;
  std::array<std::string, 32> resync_problems_;  // by member: why the last attempt ended, as logged
  core::MemberSet heartbeats_;                   // under way
  Seq stabilized_;                               // last write that a generation's flush has covered
  uint64_t next_read_ = 0;
  uint32_t stalled_ = 0;          // operations that wait for a member to return
  bool layers_changing_ = false;  // by a snapshot, restore or growth: no replica begins to sync
  // What this primary gave to members that are behind: as good as what they froze themselves.
  std::array<std::vector<SnapshotId>, 32> rebuilt_snapshots_;
  bool equal_ = false;  // the takeover has made the members equal: before, no generation is stable
  bool stabilizing_ = false;
  bool detaching_ = false;
  bool stopping_ = false;
};

}  // namespace cleat::engine
