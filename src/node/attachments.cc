#include "node/attachments.h"

#include "common/log.h"

namespace cleat::node {

using control::failure;
using control::failure_from;
using control::Outcome;

namespace {

constexpr Duration kHealMax = std::chrono::hours(24);
constexpr Duration kJoinMax = std::chrono::seconds(15);

// Numbers of operations that no earlier process of this node has used: it has made less than one in
// a microsecond.
uint64_t fresh_numbers() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

}  // namespace

struct Attachments::Entry {
  Entry(io::Executor& executor, VolumeId volume_id) : id(volume_id), turn(executor) {}
  VolumeId id;
  io::WaitQueue turn;
  bool taken = false;
  bool healing = false;
  bool attaching = false;
  std::unique_ptr<OpenVolume> volume;
  // What the device of a shared volume is made of. With `volume` or, where another node is the
  // primary, without.
  std::unique_ptr<engine::SharedDevice> sharer;
  std::optional<control::AttachedVolume> device;
};

// Holds the turn for one volume; gives it back when it dies.
class Attachments::Turn {
 public:
  explicit Turn(Entry* entry) : entry_(entry) {}
  Turn(Turn&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  ~Turn() {
    if (entry_ == nullptr) return;
    entry_->taken = false;
    entry_->turn.notify_one();
  }
  Entry& entry() { return *entry_; }

 private:
  Entry* entry_;
};

Attachments::Attachments(engine::VolumeContext context, engine::ShareLink& link,
                         engine::ShareService& shares, DeviceServer& fuse, DeviceServer& nbd)
    : context_(std::move(context)), link_(link), shares_(shares), fuse_(fuse), nbd_(nbd) {}

Attachments::~Attachments() = default;

DeviceServer& Attachments::server(control::Frontend frontend) {
  return frontend == control::Frontend::kNbd ? nbd_ : fuse_;
}

io::Task<Attachments::Turn> Attachments::enter(VolumeId volume) {
  auto& slot = entries_[volume];
  if (!slot) slot = std::make_unique<Entry>(context_.executor, volume);
  Entry* entry = slot.get();
  while (entry->taken) co_await entry->turn.wait();
  entry->taken = true;
  co_return Turn(entry);
}

bool Attachments::is_attaching(VolumeId volume) const {
  auto found = entries_.find(volume);
  return found != entries_.end() && found->second->attaching;
}

engine::Volume* Attachments::find(VolumeId volume) {
  auto found = entries_.find(volume);
  bool is_open = found != entries_.end() && found->second->volume;
  return is_open ? &found->second->volume->volume() : nullptr;
}

const control::AttachedVolume* Attachments::device(VolumeId volume) const {
  auto found = entries_.find(volume);
  if (found == entries_.end() || !found->second->device) return nullptr;
  return &*found->second->device;
}

std::vector<VolumeId> Attachments::open_volumes() const {
  std::vector<VolumeId> open;
  for (const auto& [id, entry] : entries_) {
    if (entry->volume) open.push_back(id);
  }
  return open;
}

std::vector<control::AttachedVolume> Attachments::attached() const {
  std::vector<control::AttachedVolume> all;
  for (const auto& [id, entry] : entries_) {
    if (entry->device) all.push_back(*entry->device);
  }
  return all;
}

io::Task<Outcome<>> Attachments::open(Entry& entry, engine::AttachRequest request) {
  if (closing_) co_return failure(Code::kClosed, "cleatd is stopping");
  auto volume = co_await engine::Volume::attach(context_, entry.id, request);
  if (!volume) {
    co_return failure_from(volume.error(), fmt::format("cannot attach volume {}", entry.id.value));
  }
  entry.volume = std::make_unique<OpenVolume>(*std::move(volume), context_.executor, shares_);
  co_return Outcome<>{};
}

io::Task<Outcome<>> Attachments::shut(Entry& entry) {
  entry.healing = false;
  std::unique_ptr<OpenVolume> volume = std::move(entry.volume);
  if (!volume) co_return Outcome<>{};
  auto detached = co_await volume->detach();
  if (detached) co_return Outcome<>{};
  co_return failure_from(detached.error(),
                         fmt::format("volume {} was closed without a clean detach; the next attach "
                                     "makes its replicas equal",
                                     entry.id.value));
}

io::Task<Outcome<control::AttachedVolume>> Attachments::attach(VolumeId volume,
                                                               control::AttachOptions options) {
  Turn turn = co_await enter(volume);
  Attaching how;
  how.request.take_over = options.take_over;
  how.options = std::move(options);
  co_return co_await attach_marked(turn.entry(), std::move(how));
}

io::Task<Outcome<control::AttachedVolume>> Attachments::resume(VolumeId volume,
                                                               control::AttachOptions options) {
  Turn turn = co_await enter(volume);
  auto found = co_await context_.registry.load(volume);
  if (!found) co_return failure_from(found.error(), "cannot read the volume's record");
  Attaching how;
  how.request.earlier_process = true;
  how.begin = engine::SharedDevice::Begin::kResumed;
  how.options = std::move(options);
  how.options.shared = found->record.has_sharer(context_.self);
  how.options.through_primary = how.options.shared && found->record.primary != context_.self;
  co_return co_await attach_marked(turn.entry(), std::move(how));
}

io::Task<Outcome<control::AttachedVolume>> Attachments::attach_marked(Entry& entry, Attaching how) {
  entry.attaching = true;
  auto attached = co_await attach_in_turn(entry, std::move(how));
  entry.attaching = false;
  co_return attached;
}

io::Task<Outcome<control::AttachedVolume>> Attachments::attach_in_turn(Entry& entry,
                                                                       Attaching how) {
  if (how.options.shared && how.options.frontend == control::Frontend::kNbd) {
    co_return failure(Code::kUnsupported,
                      "a shared volume has no NBD device: NBD clients may write parts of blocks");
  }
  auto over = co_await end_over(entry);
  if (!over) co_return tl::unexpected(over.error());
  if (entry.device && entry.device->frontend != how.options.frontend) {
    co_return failure(Code::kBusy,
                      "the volume is attached here by the other frontend: detach it first");
  }
  const bool was_open = entry.volume != nullptr;
  if (!how.options.through_primary) {
    auto opened = co_await open_for(entry, how);
    if (!opened) co_return tl::unexpected(opened.error());
  }
  if (entry.device) co_return *entry.device;
  auto made = co_await make_device(entry, how);
  if (!made && !was_open) {
    auto closed = co_await shut(entry);
    if (!closed) LOG_WARN("{}", closed.error().message);
  }
  co_return made;
}

// What can't go on: a fenced volume with its device, and the device of an expelled sharer. That of
// a shared volume goes on with the next primary.
io::Task<Outcome<>> Attachments::end_over(Entry& entry) {
  const bool is_fenced = entry.volume && entry.volume->volume().ended();
  const bool is_expelled = entry.sharer && entry.sharer->ended();
  if (is_expelled || (is_fenced && !entry.sharer)) {
    auto gone = co_await withdraw(entry, true);
    if (!gone) co_return gone;
  }
  if (is_expelled) {
    co_await entry.sharer->stop();
    entry.sharer.reset();
  }
  if (is_fenced) {
    auto closed = co_await shut(entry);
    if (!closed) LOG_WARN("{}", closed.error().message);
  }
  co_return Outcome<>{};
}

io::Task<Outcome<>> Attachments::open_for(Entry& entry, const Attaching& how) {
  if (!entry.volume) {
    auto opened = co_await open(entry, how.request);
    if (!opened) co_return opened;
  }
  if (how.options.shared) entry.volume->share();
  co_return Outcome<>{};
}

io::Task<Outcome<control::AttachedVolume>> Attachments::make_device(Entry& entry,
                                                                    const Attaching& how) {
  if (how.options.shared) {
    auto joined = co_await become_sharer(entry, how.begin);
    if (!joined) co_return tl::unexpected(joined.error());
  }
  engine::BlockDevice* device = entry.sharer.get();
  if (device == nullptr) device = &entry.volume->volume();
  auto served =
      co_await server(how.options.frontend).serve(entry.id, how.options.volume_name, *device);
  if (!served) {
    co_await leave_share(entry);
    co_return served;
  }
  if (entry.sharer) entry.sharer->resent();
  entry.device = *served;
  co_return served;
}

io::Task<Outcome<>> Attachments::become_sharer(Entry& entry, engine::SharedDevice::Begin begin) {
  if (entry.sharer) co_return Outcome<>{};
  auto found = co_await context_.registry.load(entry.id);
  if (!found) co_return failure_from(found.error(), "cannot read the volume's record");
  engine::ShareContext context{context_.executor, context_.registry, link_,
                               context_.self,     context_.wait_max, fresh_numbers()};
  entry.sharer =
      std::make_unique<engine::SharedDevice>(context, entry.id, found->record.size_blocks, begin);
  entry.sharer->start();
  if (begin == engine::SharedDevice::Begin::kResumed) co_return Outcome<>{};
  auto joined = co_await entry.sharer->joined(kJoinMax);
  if (joined) co_return Outcome<>{};
  auto failed = failure_from(
      joined.error(), fmt::format("cannot share volume {}{}{}", entry.id.value,
                                  *entry.sharer->problem() ? ": " : "", entry.sharer->problem()));
  co_await leave_share(entry);
  co_return failed;
}

io::Task<void> Attachments::leave_share(Entry& entry) {
  if (!entry.sharer) co_return;
  auto left = co_await entry.sharer->leave();
  if (!left) {
    LOG_WARN("volume {}: its primary did not hear that this node shares it no more: {}",
             entry.id.value, to_string(left.error()));
  }
  entry.sharer.reset();
}

io::Task<Outcome<>> Attachments::withdraw(Entry& entry, bool force) {
  if (!entry.device) co_return Outcome<>{};
  auto gone = co_await server(entry.device->frontend).withdraw(entry.id, force);
  if (gone) entry.device.reset();
  co_return gone;
}

io::Task<Outcome<>> Attachments::detach(VolumeId volume, bool force) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  auto gone = co_await withdraw(entry, force);
  if (!gone) co_return gone;
  if (!entry.device) gone = co_await fuse_.withdraw(volume, force);  // of an earlier process
  if (!gone) co_return gone;
  co_await leave_share(entry);
  if (entry.healing) co_return Outcome<>{};
  auto closed = co_await shut(entry);
  co_return closed;
}

io::Task<Outcome<>> Attachments::heal(VolumeId volume) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  if (entry.volume && !entry.volume->volume().ended()) co_return Outcome<>{};
  auto closed = co_await shut(entry);
  if (!closed) LOG_WARN("{}", closed.error().message);
  auto opened = co_await open(entry, engine::AttachRequest{});
  if (!opened) co_return opened;
  entry.healing = true;
  group_.spawn(heal_and_shut(volume));
  co_return Outcome<>{};
}

io::Task<void> Attachments::heal_and_shut(VolumeId volume) {
  engine::Volume* open = find(volume);
  if (open == nullptr) co_return;
  auto healed = co_await open->healed(kHealMax);
  if (!healed) LOG_WARN("volume {}: not healed: {}", volume.value, to_string(healed.error()));
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  entry.healing = false;
  if (entry.device || find(volume) != open) co_return;
  auto closed = co_await shut(entry);
  if (!closed) LOG_WARN("{}", closed.error().message);
}

io::Task<Outcome<>> Attachments::with_volume(VolumeId volume, Change change, bool heal) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  bool opened_here = !entry.volume;
  if (opened_here) {
    auto opened = co_await open(entry, engine::AttachRequest{});
    if (!opened) co_return opened;
  }
  io::Task<Result<void>> task = change(entry.volume->volume());
  auto changed = co_await std::move(task);
  Outcome<> closed;
  if (opened_here && heal && changed) {
    entry.healing = true;
    group_.spawn(heal_and_shut(volume));
  } else if (opened_here) {
    closed = co_await shut(entry);
  }
  if (!changed) co_return failure_from(changed.error(), fmt::format("volume {}", volume.value));
  co_return closed;
}

void Attachments::forget_lost_devices() {
  for (const auto& [id, entry] : entries_) {
    if (entry->taken || !entry->device || server(entry->device->frontend).serves(id)) continue;
    LOG_ERROR("volume {}: its device {} is gone", id.value, entry->device->device);
    entry->device.reset();
  }
}

io::Task<Outcome<>> Attachments::hold_writes(VolumeId volume, uint64_t hold, Duration hold_max) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  if (!entry.device || !entry.volume) {
    co_return failure(Code::kConflict, "volume {} is not attached here any more", volume.value);
  }
  auto held = co_await entry.volume->volume().write_hold().begin(hold, hold_max);
  if (held) co_return Outcome<>{};
  co_return failure_from(held.error(), fmt::format("cannot hold the writes of {}", volume.value));
}

Outcome<> Attachments::release_writes(VolumeId volume, uint64_t hold) {
  engine::Volume* open = find(volume);
  if (open == nullptr) {
    return failure(Code::kConflict, "volume {} was detached meanwhile", volume.value);
  }
  auto released = open->write_hold().release(hold);
  if (released) return {};
  return failure_from(released.error(), fmt::format("volume {}", volume.value));
}

io::Task<Outcome<>> Attachments::resized(VolumeId volume) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  if (!entry.device) co_return Outcome<>{};
  if (entry.sharer) {
    auto known = co_await entry.sharer->refresh_size();
    if (!known) co_return failure_from(known.error(), "the device does not learn its new size");
  }
  auto told = co_await server(entry.device->frontend).resized(volume);
  co_return told;
}

io::Task<Outcome<>> Attachments::expel(VolumeId volume, NodeId node) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  if (!entry.volume || !entry.volume->shared()) {
    co_return failure(Code::kConflict, "this node is not the primary of shared volume {}",
                      volume.value);
  }
  auto expelled = co_await entry.volume->shared()->expel(node);
  if (expelled) co_return Outcome<>{};
  co_return failure_from(expelled.error(), fmt::format("volume {}", volume.value));
}

io::Task<void> Attachments::retire_fenced() {
  for (VolumeId id : open_volumes()) {
    Entry& known = *entries_.at(id);
    if (!known.sharer || known.taken || !known.volume->volume().ended()) continue;
    Turn turn = co_await enter(id);
    std::unique_ptr<OpenVolume> fenced = std::move(turn.entry().volume);
    if (!fenced) continue;
    LOG_INFO("volume {}: another node is its primary now", id.value);
    co_await fenced->stop();
  }
}

std::vector<VolumeId> Attachments::in_use() const {
  std::vector<VolumeId> used;
  for (const auto& [id, entry] : entries_) {
    if (entry->volume || entry->sharer) used.push_back(id);
  }
  return used;
}

io::Task<void> Attachments::close() {
  closing_ = true;
  for (VolumeId id : in_use()) {
    Turn turn = co_await enter(id);
    Entry& entry = turn.entry();
    auto gone = co_await withdraw(entry, false);
    if (!gone) {
      LOG_INFO("volume {}: left for the next process: {}", id.value, gone.error().message);
      continue;
    }
    co_await leave_share(entry);
    auto closed = co_await shut(entry);
    if (!closed) LOG_WARN("{}", closed.error().message);
  }
  // In use: no more answers, so that the next process gets the requests; and no clean detach, so
  // that no other node takes the volume for free.
  io::TaskGroup leaving;
  leaving.spawn(nbd_.leave());
  leaving.spawn(fuse_.leave());
  for (VolumeId id : in_use()) {
    Entry& entry = *entries_.at(id);
    if (entry.sharer) entry.sharer->close();
    if (entry.volume) entry.volume->end_sharing();
  }
  co_await leaving.close();
  for (VolumeId id : in_use()) {
    Turn turn = co_await enter(id);
    Entry& entry = turn.entry();
    if (entry.volume) co_await entry.volume->stop();
    entry.volume.reset();
    if (entry.sharer) co_await entry.sharer->stop();
    entry.sharer.reset();
  }
  co_await group_.close();
}

}  // namespace cleat::node
