#include "sim/cluster/process.h"

#include "common/log.h"
#include "engine/remote_member.h"

namespace cleat::sim {
namespace {

constexpr int64_t kDriftPpmMax = 200;

wire::Identity identity_of(HostIndex host, Random& random) {
  wire::Identity identity;
  identity.cluster = "simulated";
  identity.node = node_of(host);
  identity.name = fmt::format("node{}", host);
  identity.secret = "the secret of the simulated cluster";
  uint64_t seed = random();
  identity.nonce = [own = Random(seed)]() mutable -> Result<wire::Nonce> {
    wire::Nonce nonce;
    for (std::byte& byte : nonce) byte = static_cast<std::byte>(own());
    return nonce;
  };
  return identity;
}

int64_t random_drift(Random& random) {
  return static_cast<int64_t>(random.below(2 * kDriftPpmMax + 1)) - kDriftPpmMax;
}

}  // namespace

NodeId node_of(HostIndex host) { return NodeId(host + 1); }
PoolId pool_of(HostIndex host) { return PoolId(100 + host); }

Process::Process(ProcessContext context, HostIndex host, std::shared_ptr<Medium> medium,
                 std::vector<std::byte> scratch)
    : context_(context),
      host_(host),
      executor_(context.loop, random_drift(context.loop.random())),
      network_(context.fabric, host, executor_),
      registry_(context.meta, context.loop, host),
      peers_(executor_, buffers_, network_, identity_of(host, context.loop.random()), {}),
      service_(executor_, buffers_),
      epoch_blind_(service_, blindness_),
      shares_(buffers_, handler()),
      peer_link_(node_of(host), peers_, shares_),
      link_(plant(context.bug, peer_link_, executor_)),
      server_(executor_, buffers_, identity_of(host, context.loop.random()), shares_),
      medium_(std::move(medium)),
      owned_disk_(std::make_unique<SimulatedDisk>(context.loop, medium_)),
      disk_(owned_disk_.get()),
      owned_scratch_(std::make_unique<SimulatedScratch>(std::move(scratch))),
      scratch_(owned_scratch_.get()) {
  registry_.lies_about_removals = context.bug == PlantedBug::kLieAboutRemoval;
  for (HostIndex other = 0; other < context.hosts; ++other) {
    if (other != host) peers_.set_address(node_of(other), SimulatedNetwork::address_of(other));
  }
}

Process::~Process() = default;

wire::RequestHandler& Process::handler() {
  if (context_.bug == PlantedBug::kIgnoreEpoch) return epoch_blind_;
  return service_;
}

std::unique_ptr<engine::Member> Process::make_member(const core::ReplicaRecord& replica) {
  bool remote = replica.node != node_of(host_);
  std::unique_ptr<engine::Member> member;
  if (remote) {
    member = std::make_unique<engine::RemoteMember>(peers_, replica.node);
  } else {
    member = std::make_unique<engine::LocalMember>(service_);
  }
  if (!remote && context_.bug == PlantedBug::kIgnoreEpoch) {
    return std::make_unique<EpochBlindMember>(std::move(member), blindness_);
  }
  return plant(context_.bug, std::move(member), remote);
}

io::Task<Result<void>> Process::start() {
  store::OpenOptions options;
  options.identity = store::PoolIdentity{7, node_of(host_), pool_of(host_)};
  options.reserve_bytes = kPoolCapacity - context_.room_bytes;
  auto pool = co_await store::Pool::open(executor_, std::move(owned_disk_),
                                         std::move(owned_scratch_), options);
  if (!pool) co_return fail(pool.error());
  pool_ = *std::move(pool);
  for (store::ReplicaStore* replica : pool_->replicas()) service_.add(*replica);
  if (stopping_) co_return fail(Code::kClosed, "killed while it started");
  io::Address at = SimulatedNetwork::address_of(host_);
  CO_TRY_ASSIGN(listener_, co_await network_.listen(at));
  group_.spawn(serve());
  group_.spawn(tick());
  co_return Result<void>{};
}

io::Task<void> Process::serve() {
  auto ended = co_await server_.listen(*listener_);
  (void)ended;
}

io::Task<void> Process::tick() {
  while (!stopping_) {
    auto kept = co_await pool_->tick();
    if (!kept && !cut_) LOG_DEBUG("host {}: tick: {}", host_, to_string(kept.error()));
    co_await executor_.sleep(1s);
  }
}

io::Task<Result<void>> Process::attach(VolumeId volume, engine::AttachRequest request) {
  auto factory = [this](const core::ReplicaRecord& replica) { return make_member(replica); };
  engine::VolumeContext context{executor_, buffers_, registry_, node_of(host_), factory};
  context.wait_max = context_.wait_max;
  CO_TRY_ASSIGN(std::unique_ptr<engine::Volume> opened,
                co_await engine::Volume::attach(std::move(context), volume, request));
  volume_ = std::move(opened);
  if (!context_.shared) co_return Result<void>{};
  shared_ = std::make_unique<engine::SharedVolume>(executor_, *volume_);
  shares_.add(volume, *shared_);
  group_.spawn(shared_->run());
  co_return Result<void>{};
}

void Process::end_sharing() {
  if (!shared_) return;
  shares_.remove(volume_->record().id);
  shared_->end();
}

io::Task<void> Process::sharing_ended() {
  std::unique_ptr<engine::SharedVolume> shared = std::move(shared_);
  if (shared) co_await shared->drained();
}

io::Task<Result<std::shared_ptr<engine::SharedDevice>>> Process::share(VolumeId volume,
                                                                       Begin begin) {
  constexpr Duration kJoinMax = 5s;
  CO_TRY_ASSIGN(engine::VersionedRecord found, co_await registry_.load(volume));
  if (cut_ || sharer_) co_return fail(Code::kClosed, "killed meanwhile");
  // As the clock of a host: it goes on when a process ends.
  auto first_number = static_cast<uint64_t>(context_.loop.now().time_since_epoch() / 1us);
  engine::ShareContext context{executor_,      registry_,         *link_,
                               node_of(host_), context_.wait_max, first_number};
  sharer_ =
      std::make_shared<engine::SharedDevice>(context, volume, found.record.size_blocks, begin);
  std::shared_ptr<engine::SharedDevice> made = sharer_;
  made->start();
  if (begin == Begin::kResumed) co_return made;
  auto joined = co_await made->joined(kJoinMax);
  if (joined) co_return made;
  co_await leave_share();
  co_return fail(joined.error());
}

io::Task<void> Process::leave_share() {
  std::shared_ptr<engine::SharedDevice> leaving = std::move(sharer_);
  if (!leaving) co_return;
  auto left = co_await leaving->leave();
  (void)left;
}

io::Task<Result<void>> Process::detach() {
  std::shared_ptr<engine::Volume> volume = volume_;
  if (!volume) co_return Result<void>{};
  end_sharing();
  auto detached = co_await volume->detach();
  co_await sharing_ended();
  volume_.reset();
  co_return detached;
}

std::vector<std::byte> Process::cut() {
  cut_ = true;
  stopping_ = true;
  std::vector<std::byte> scratch = scratch_->contents();
  disk_->cut();
  registry_.end_process();
  if (executor_.paused()) executor_.resume();
  return scratch;
}

io::Task<void> Process::unwind() {
  stopping_ = true;
  while (attaching || busy || readers > 0) co_await context_.loop.sleep(10ms);
  std::shared_ptr<engine::SharedDevice> sharer = std::move(sharer_);
  if (sharer) sharer->close();
  if (volume_) {
    std::shared_ptr<engine::Volume> volume = volume_;
    end_sharing();
    co_await volume->stop();
    co_await sharing_ended();
    volume_.reset();
  }
  if (sharer) co_await sharer->stop();
  if (listener_) listener_->close();
  co_await server_.close();
  co_await group_.close();
  co_await peers_.close();
  if (pool_) {
    for (store::ReplicaStore* replica : pool_->replicas()) {
      co_await service_.remove(replica->volume());
    }
    auto closed = co_await pool_->close();
    if (!closed && !cut_) LOG_WARN("host {}: close: {}", host_, to_string(closed.error()));
  }
}

}  // namespace cleat::sim
