#include "control/testing/fake_node.h"

#include <algorithm>

namespace cleat::control {
namespace {

using Guard = std::lock_guard<std::recursive_mutex>;

Outcome<> up(FakeState& state) {
  if (state.down) return failure(Code::kUnreachable, "node {} can't be reached", state.id.value);
  return {};
}

class FakeReplicas final : public ReplicaPort {
 public:
  FakeReplicas(FakeState& state, RecordStore& records) : state_(state), records_(records) {}
  Outcome<> create(const core::VolumeRecord& record, core::MemberIndex member,
                   const std::string& spec) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (Code code = std::exchange(state_.create_fails, Code{}); code != Code{}) {
      return failure(code, "the pool is broken");
    }
    const auto* replica = record.find(member);
    if (!state_.pools.contains(replica->pool)) return failure(Code::kNotFound, "no such pool");
    if (record.parent_volume.value != 0 && replica->state == core::ReplicaState::kInSync) {
      OUTCOME_TRY(check_base(record));
    }
    auto& stored = state_.replicas[record.id];
    stored.pool = replica->pool;
    stored.catalog = catalog_record(spec, record);
    stored.epoch = record.epoch;
    stored.size_blocks = record.size_blocks;
    return {};
  }
  Outcome<> remove(VolumeId volume, PoolId) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (state_.attached.contains(volume) && !state_.through.contains(volume)) {
      return failure(Code::kBusy, "it is open here");
    }
    state_.replicas.erase(volume);
    return {};
  }
  Outcome<> set_spec(VolumeId volume, const std::string& spec) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    auto found = state_.replicas.find(volume);
    if (found != state_.replicas.end())
      found->second.catalog = replace_spec(found->second.catalog, spec);
    return {};
  }
  Outcome<std::vector<LocalReplica>> list() override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    std::vector<LocalReplica> out;
    for (const auto& [id, replica] : state_.replicas) {
      out.push_back({id, replica.pool, replica.size_blocks, replica.epoch, replica.catalog});
    }
    return out;
  }
  Outcome<std::vector<ReplicaUsage>> usage(const std::vector<VolumeId>& volumes) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    std::vector<ReplicaUsage> out;
    for (const auto& [id, replica] : state_.replicas) {
      const bool wanted =
          volumes.empty() || std::find(volumes.begin(), volumes.end(), id) != volumes.end();
      if (wanted) out.push_back({id, replica.pool, replica.size_blocks, {4096, 0, 0, 1024}});
    }
    return out;
  }

 private:
  Outcome<> check_base(const core::VolumeRecord& record) {
    if (!state_.replicas.contains(record.parent_volume)) {
      return failure(Code::kNotFound, "no replica of the parent here");
    }
    OUTCOME_ASSIGN(auto parent, records_.load(record.parent_volume));
    for (const auto& snapshot : parent.value.snapshots) {
      if (snapshot.id == record.parent_snapshot) return {};
    }
    return failure(Code::kNotFound, "no such snapshot here");
  }
  FakeState& state_;
  RecordStore& records_;
};

// Opens, changes and closes the record as a real node does: by compare-and-set.
class FakeVolumes final : public VolumePort {
 public:
  FakeVolumes(FakeState& state, RecordStore& records) : state_(state), records_(records) {}

  template <class Change>
  Outcome<> change(VolumeId volume, Change apply) {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (Code code = std::exchange(state_.volume_call_fails, Code{}); code != Code{}) {
      return failure(code, "the data plane refused");
    }
    if (state_.before_change) state_.before_change(volume);
    OUTCOME_ASSIGN(auto record, records_.load(volume));
    OUTCOME_TRY(apply(record.value));
    OUTCOME_TRY(records_.compare_and_store(record.revision, record.value));
    auto found = state_.replicas.find(volume);
    if (found == state_.replicas.end()) return {};
    found->second.catalog = replace_record(found->second.catalog, record.value);
    found->second.epoch = std::max(found->second.epoch, record.value.epoch);
    found->second.size_blocks = record.value.size_blocks;
    return {};
  }
  Outcome<> snapshot(VolumeId volume, const core::SnapshotRecord& snapshot) override {
    return change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      for (const auto& known : record.snapshots) {
        if (known.id == snapshot.id) return {};
      }
      record.snapshots.push_back(snapshot);
      return {};
    });
  }
  Outcome<> delete_snapshot(VolumeId volume, SnapshotId snapshot) override {
    return change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      std::erase_if(record.snapshots, [&](const auto& known) { return known.id == snapshot; });
      return {};
    });
  }
  Outcome<> restore(VolumeId volume, SnapshotId) override {
    return change(volume, [](core::VolumeRecord&) -> Outcome<> { return {}; });
  }
  Outcome<> resize(VolumeId volume, uint64_t size_blocks) override {
    return change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      record.size_blocks = size_blocks;
      return {};
    });
  }
  Outcome<> add_replica(VolumeId volume, const core::ReplicaRecord& replica) override {
    return change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      if (record.find(replica.index) == nullptr) record.replicas.push_back(replica);
      return {};
    });
  }
  Outcome<> remove_replica(VolumeId volume, core::MemberIndex member,
                           uint32_t in_sync_left_min) override {
    return change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      auto rest = std::count_if(record.replicas.begin(), record.replicas.end(), [&](const auto& r) {
        return r.index != member && r.state == core::ReplicaState::kInSync;
      });
      if (rest < std::max<int64_t>(1, in_sync_left_min)) {
        return failure(Code::kConflict, "too few of the others are in sync");
      }
      std::erase_if(record.replicas, [&](const auto& r) { return r.index == member; });
      return {};
    });
  }

 private:
  FakeState& state_;
  RecordStore& records_;
};

class FakeAttach final : public AttachPort {
 public:
  FakeAttach(FakeState& state, FakeVolumes& volumes) : state_(state), volumes_(volumes) {}
  Outcome<AttachedVolume> attach(VolumeId volume, const AttachOptions& options) override {
    Guard lock(state_.mutex);
    if (auto first = std::exchange(state_.before_attach, nullptr)) first();
    OUTCOME_TRY(up(state_));
    if (options.shared && options.frontend != Frontend::kFuse) {
      return failure(Code::kUnsupported, "a shared volume has no NBD export");
    }
    const bool has_device = state_.attached.contains(volume);
    const bool open = has_device && !state_.through.contains(volume);
    if (open && !options.shared) return state_.attached[volume];
    OUTCOME_TRY(options.through_primary ? join(volume) : become_primary(volume, open, options));
    AttachedVolume out{volume, options.frontend, {}, {}};
    if (options.frontend == Frontend::kFuse) out.device = "/dev/cleat/" + options.volume_name;
    if (options.frontend == Frontend::kNbd) out.uri = "nbd+unix:///" + options.volume_name;
    state_.attached[volume] = out;
    if (auto last = std::exchange(state_.after_attach, nullptr)) last();
    if (std::exchange(state_.attach_answer_lost, false)) {
      return failure(Code::kUnreachable, "the connection broke");
    }
    return out;
  }
  Outcome<> detach(VolumeId volume, bool) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    state_.healing.erase(volume);
    state_.attached.erase(volume);
    state_.through.erase(volume);
    OUTCOME_TRY(volumes_.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      if (record.primary == state_.id || record.primary.value == 0) {
        record.primary = NodeId{};
        record.clean = true;
      } else if (state_.farewell_lost) {
        return {};
      }
      std::erase(record.sharers, state_.id);
      return {};
    }));
    if (auto last = std::exchange(state_.after_detach, nullptr)) last();
    return {};
  }
  Outcome<> heal(VolumeId volume) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    state_.healing.insert(volume);
    return volumes_.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      record.primary = state_.id;
      record.epoch = record.epoch.next();
      return {};
    });
  }
  Outcome<std::vector<AttachedVolume>> attached() override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    std::vector<AttachedVolume> out;
    for (const auto& [id, volume] : state_.attached) out.push_back(volume);
    return out;
  }
  Outcome<> expel(VolumeId volume, NodeId node) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    return volumes_.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      if (record.primary != state_.id || !state_.attached.contains(volume)) {
        return failure(Code::kConflict, "it is not open here");
      }
      std::erase(record.sharers, node);
      return {};
    });
  }
  Outcome<> refresh_size(VolumeId volume) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (!state_.attached.contains(volume)) return {};
    return volumes_.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      state_.device_blocks[volume] = record.size_blocks;
      return {};
    });
  }

 private:
  static void add_sharer(core::VolumeRecord& record, NodeId node) {
    if (!record.has_sharer(node)) record.sharers.push_back(node);
  }
  Outcome<> become_primary(VolumeId volume, bool open, const AttachOptions& options) {
    OUTCOME_TRY(volumes_.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      if (open && record.primary == state_.id) return {};
      if (record.primary.value != 0 && record.primary != state_.id && !options.take_over) {
        return failure(Code::kBusy, "another node is primary");
      }
      record.primary = state_.id;
      record.epoch = record.epoch.next();
      record.clean = false;
      if (options.shared) add_sharer(record, state_.id);
      return {};
    }));
    state_.through.erase(volume);
    return {};
  }
  // As the primary does it when a device here first comes.
  Outcome<> join(VolumeId volume) {
    OUTCOME_TRY(volumes_.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
      if (record.primary == state_.id) return {};
      if (!state_.serves || !state_.serves(record.primary, volume)) {
        return failure(Code::kUnreachable, "the primary does not answer");
      }
      add_sharer(record, state_.id);
      state_.through.insert(volume);
      return {};
    }));
    return {};
  }
  FakeState& state_;
  FakeVolumes& volumes_;
};

class FakeInspect final : public InspectPort {
 public:
  FakeInspect(FakeState& state, RecordStore& records) : state_(state), records_(records) {}
  Outcome<VolumeRuntime> runtime(VolumeId volume) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (state_.attaching.contains(volume)) return failure(Code::kBusy, "it is being attached here");
    auto attached = state_.attached.find(volume);
    const bool healing = state_.healing.contains(volume);
    const bool served = attached != state_.attached.end() && !state_.through.contains(volume);
    if (!served && !healing) return failure(Code::kNotFound, "it is not open here");
    VolumeRuntime out;
    out.open = true;
    out.attached = served;
    if (out.attached) out.device = attached->second.device;
    out.resyncs = state_.resyncs[volume];
    return out;
  }
  Outcome<VolumeStats> stats(VolumeId) override {
    OUTCOME_TRY(up(state_));
    VolumeStats out;
    out.writes = 7;
    return out;
  }
  Outcome<std::vector<std::pair<VolumeId, VolumeRuntime>>> runtimes() override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    std::vector<std::pair<VolumeId, VolumeRuntime>> out;
    for (const auto& [id, volume] : state_.attached) {
      if (!state_.through.contains(id)) out.emplace_back(id, *runtime(id));
    }
    return out;
  }
  Outcome<CheckResult> check(VolumeId volume) override {
    OUTCOME_TRY(up(state_));
    OUTCOME_ASSIGN(auto record, records_.load(volume));
    CheckResult out;
    out.equal = true;
    for (const auto& replica : record.value.replicas) {
      out.replicas.push_back({replica.index, replica.node, replica.state, "00ff", {}});
    }
    return out;
  }

 private:
  FakeState& state_;
  RecordStore& records_;
};

class FakePools final : public PoolPort {
 public:
  explicit FakePools(FakeState& state) : state_(state) {}
  Outcome<PoolInfo> create(PoolId pool, const PoolCreate& options) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    PoolInfo out{
        pool, options.path, options.pool_class, options.size_bytes, 0, options.size_bytes, false,
        {}};
    return state_.pools[pool] = out;
  }
  Outcome<> remove(PoolId pool) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    state_.pools.erase(pool);
    return {};
  }
  Outcome<std::vector<PoolInfo>> list() override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    std::vector<PoolInfo> out;
    for (const auto& [id, pool] : state_.pools) out.push_back(pool);
    return out;
  }

 private:
  FakeState& state_;
};

class FakeHolds final : public HoldPort {
 public:
  explicit FakeHolds(FakeState& state) : state_(state) {}
  Outcome<> hold(VolumeId volume, uint64_t hold, Duration) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (!state_.attached.contains(volume)) return failure(Code::kConflict, "it is not attached");
    if (state_.holds.contains(volume)) return failure(Code::kConflict, "it is held already");
    state_.holds[volume] = hold;
    return {};
  }
  Outcome<> release(VolumeId volume, uint64_t hold) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    auto found = state_.holds.find(volume);
    const bool on = found != state_.holds.end() && found->second == hold && !state_.holds_expire;
    if (found != state_.holds.end()) state_.holds.erase(found);
    if (!on) return failure(Code::kConflict, "the hold is over");
    return {};
  }

 private:
  FakeState& state_;
};

class FakeMounts final : public MountPort {
 public:
  explicit FakeMounts(FakeState& state) : state_(state) {}
  Outcome<MountInfo> mount(const MountRequestInfo& request) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (auto first = std::exchange(state_.before_mount, nullptr)) first();
    const bool formatted = !state_.mounts.contains(request.device);
    const auto& options = request.options;
    const bool read_only = std::find(options.begin(), options.end(), "ro") != options.end();
    state_.mounts[request.device][request.path] = read_only;
    state_.mount_options = options;
    return MountInfo{request.device, request.path, request.fs, formatted};
  }
  Outcome<> unmount(const std::string& device, const std::string& path) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (path.empty()) state_.mounts[device].clear();
    state_.mounts[device].erase(path);
    return {};
  }
  Outcome<std::vector<MountedAt>> mounts(const std::string& device) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    std::vector<MountedAt> out;
    for (const auto& [path, read_only] : state_.mounts[device]) out.push_back({path, read_only});
    return out;
  }
  Outcome<Growth> grow_file_system(const std::string& device) override {
    Guard lock(state_.mutex);
    OUTCOME_TRY(up(state_));
    if (state_.mounts[device].empty()) return Growth{false, "it is not mounted"};
    if (!state_.growth_refused.empty()) return Growth{false, state_.growth_refused};
    return Growth{true, {}};
  }

 private:
  FakeState& state_;
};

}  // namespace

struct FakeNode::Ports {
  Ports(FakeState& state, RecordStore& records)
      : replicas(state, records),
        volumes(state, records),
        attach(state, volumes),
        inspect(state, records),
        pools(state),
        mounts(state),
        holds(state) {}
  FakeReplicas replicas;
  FakeVolumes volumes;
  FakeAttach attach;
  FakeInspect inspect;
  FakePools pools;
  FakeMounts mounts;
  FakeHolds holds;
};

FakeNode::FakeNode(NodeId id, RecordStore& records) {
  state_.id = id;
  ports_ = std::make_unique<Ports>(state_, records);
}

FakeNode::~FakeNode() = default;

NodePorts FakeNode::ports() {
  return {ports_->replicas, ports_->attach, ports_->volumes,
          ports_->inspect,  ports_->pools,  ports_->holds};
}

MountPort& FakeNode::mounts() { return ports_->mounts; }

FakeState& FakeNode::state() { return state_; }

void FakeNode::finish_resync(VolumeId volume) {
  state_.healing.erase(volume);
  const bool attached = state_.attached.contains(volume);
  auto done = ports_->volumes.change(volume, [&](core::VolumeRecord& record) -> Outcome<> {
    for (auto& replica : record.replicas) {
      replica.state = core::ReplicaState::kInSync;
      replica.left_at = {};
    }
    if (!attached) record.primary = NodeId{};
    return {};
  });
  (void)done;  // a test that needs it looks at the record
}

}  // namespace cleat::control
