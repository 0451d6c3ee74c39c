#include "node/data_plane.h"

#include <openssl/rand.h>

#include "common/check.h"
#include "common/log.h"
#include "engine/remote_member.h"

namespace cleat::node {
namespace {

constexpr Duration kResumeInterval = 500ms;

// Of a device that waits: the volume is deleted, was taken by another node, or this kernel can't
// send its requests again. All else may pass: etcd that is full or slow, a connection that breaks.
bool is_final(Code code) {
  return code == Code::kNotFound || code == Code::kStaleEpoch || code == Code::kUnsupported;
}

uint64_t system_random() {
  uint64_t value = 0;
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof value) == 1,
        "the system's generator of random numbers works");
  return value;
}

wire::Identity identity_of(const NodeOptions& options, NodeId self, std::string secret) {
  wire::Identity identity;
  identity.cluster = options.cluster;
  identity.node = self;
  identity.name = options.node;
  identity.secret = std::move(secret);
  return identity;
}

}  // namespace

DataPlane::DataPlane(LoopThread& thread, const NodeOptions& options, NodeId self,
                     std::string secret, control::ControlPlane& control)
    : thread_(thread),
      options_(options),
      self_(self),
      network_(thread.loop()),
      identity_(identity_of(options, self, std::move(secret))),
      peers_(thread.loop(), buffers_, network_, identity_, wire::PeerPoolOptions{}),
      replicas_(thread.loop(), buffers_),
      shares_(buffers_, replicas_),
      link_(self, peers_, shares_),
      server_(thread.loop(), buffers_, identity_, shares_),
      pools_(
          thread.loop(), replicas_,
          PoolSetOptions{options.data_dir, options.run_dir, options.cluster, self, system_random}),
      blocking_(thread.loop()),
      control_(control),
      registry_(blocking_, control.store(), control::Keys(options.cluster),
                [this](NodeId node) { resolve(node); }),
      fuse_(thread.loop(), buffers_, options.run_dir, options.dev_dir),
      nbd_(thread.loop(), buffers_, network_, options.run_dir + "/nbd.sock"),
      attachments_(volume_context(), link_, shares_, fuse_, nbd_) {}

DataPlane::~DataPlane() = default;

engine::VolumeContext DataPlane::volume_context() {
  auto factory = [this](const core::ReplicaRecord& replica) { return make_member(replica); };
  return engine::VolumeContext{
      thread_.loop(),          buffers_, registry_, self_, factory, options_.io_wait_max,
      options_.resync_rate_max};
}

std::unique_ptr<engine::Member> DataPlane::make_member(const core::ReplicaRecord& replica) {
  if (replica.node == self_) return std::make_unique<engine::LocalMember>(replicas_);
  return std::make_unique<engine::RemoteMember>(peers_, replica.node);
}

control::Outcome<> DataPlane::open() {
  return thread_.call<control::Outcome<>>([this] { return open_on_loop(); });
}

io::Task<control::Outcome<>> DataPlane::open_on_loop() {
  auto pools = co_await pools_.open_all();
  if (!pools) co_return pools;
  io::Address address{fmt::format("{}:{}", options_.address, options_.wire_port)};
  auto listener = co_await network_.listen(address);
  if (!listener) {
    co_return control::failure_from(
        listener.error(), fmt::format("cannot listen on {} for the other nodes", address.text));
  }
  listener_ = *std::move(listener);
  group_.spawn(serve_peers());
  group_.spawn(keep_house());
  std::string nbd_address = fmt::format("{}:{}", options_.address, options_.nbd_port);
  auto nbd = co_await nbd_.listen(std::move(nbd_address));
  co_return nbd;
}

io::Task<void> DataPlane::serve_peers() {
  auto ended = co_await server_.listen(*listener_);
  if (!ended && ended.error().code != Code::kClosed) {
    LOG_ERROR("the listener for other nodes ended: {}", to_string(ended.error()));
  }
}

io::Task<void> DataPlane::keep_house() {
  while (!closing_) {
    co_await pools_.tick();
    co_await fuse_.drop_lost();
    co_await attachments_.drop_lost_devices();
    co_await attachments_.retire_fenced();
    co_await thread_.loop().sleep(1s);
  }
}

void DataPlane::close() {
  thread_.call([this] { return close_on_loop(); });
}

io::Task<void> DataPlane::close_on_loop() {
  closing_ = true;
  co_await attachments_.close();
  if (listener_) listener_->close();
  co_await server_.close();
  co_await group_.close();
  co_await peers_.close();
  co_await pools_.close_all();
}

// On a blocking thread, before a record that names the node is used.
void DataPlane::resolve(NodeId node) {
  if (node == self_) return;
  auto peer = control_.peer(node);
  if (!peer) {
    LOG_WARN("node {}: {}", node.value, peer.error().message);
    return;
  }
  std::string text = fmt::format("{}:{}", peer->address, options_.wire_port);
  thread_.loop().post_from_any_thread(
      [this, node, text] { peers_.set_address(node, io::Address{text}); });
}

void DataPlane::resume_devices() {
  thread_.call([this]() -> io::Task<void> {
    group_.spawn(resume_held());
    co_return;
  });
}

// The keeper hands nothing over while the process before lives, if only to end.
io::Task<void> DataPlane::resume_held() {
  auto held = co_await fuse_.held();
  while (!held && held.error().code == Code::kBusy && !closing_) {
    LOG_WARN("{}", held.error().message);
    co_await thread_.loop().sleep(kResumeInterval);
    held = co_await fuse_.held();
  }
  if (!held) LOG_WARN("{}", held.error().message);
  if (!held || closing_) co_return;
  for (const FuseDevices::Held& device : *held) group_.spawn(resume(device));
}

// Its I/O waits in the kernel, so what may come back (etcd, a replica's node) is waited for as R10
// says. Whoever took the volume over, or a person who detached it, ends that.
io::Task<void> DataPlane::resume(FuseDevices::Held device) {
  control::AttachOptions options;
  options.volume_name = device.name;
  const TimePoint give_up_at = thread_.loop().now() + options_.io_wait_max;
  std::string problem;
  for (;;) {
    auto resumed = co_await attachments_.resume(device.volume, options);
    if (resumed) {
      LOG_INFO("volume {} ({}) is served again at {}", device.volume.value, device.name,
               resumed->device);
      co_return;
    }
    if (closing_) co_return;  // the next process goes on
    if (problem != resumed.error().message) {
      problem = resumed.error().message;
      LOG_WARN("volume {} ({}): {}", device.volume.value, device.name, problem);
    }
    if (!fuse_.is_held(device.volume)) co_return;
    if (is_final(resumed.error().code) || thread_.loop().now() >= give_up_at) break;
    co_await thread_.loop().sleep(kResumeInterval);
    if (closing_ || !fuse_.is_held(device.volume)) co_return;
  }
  LOG_ERROR("volume {} ({}): its device fails now", device.volume.value, device.name);
  auto dropped = co_await fuse_.withdraw(device.volume, true);
  if (!dropped) LOG_ERROR("{}", dropped.error().message);
}

}  // namespace cleat::node
