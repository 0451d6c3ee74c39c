#include "node/attachments.h"

#include "common/log.h"

namespace cleat::node {

using control::failure;
using control::failure_from;
using control::Outcome;

namespace {

constexpr Duration kHealMax = std::chrono::hours(24);

}  // namespace

struct Attachments::Entry {
  Entry(io::Executor& executor, VolumeId volume_id) : id(volume_id), turn(executor) {}
  VolumeId id;
  io::WaitQueue turn;
  bool taken = false;
  bool healing = false;
  bool attaching = false;
  std::unique_ptr<engine::Volume> volume;
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

Attachments::Attachments(engine::VolumeContext context, DeviceServer& fuse, DeviceServer& nbd)
    : context_(std::move(context)), fuse_(fuse), nbd_(nbd) {}

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
  return found == entries_.end() ? nullptr : found->second->volume.get();
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
  entry.volume = *std::move(volume);
  co_return Outcome<>{};
}

io::Task<Outcome<>> Attachments::shut(Entry& entry) {
  entry.healing = false;
  std::unique_ptr<engine::Volume> volume = std::move(entry.volume);
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
  engine::AttachRequest request;
  request.take_over = options.take_over;
  turn.entry().attaching = true;
  auto attached = co_await attach_in_turn(turn.entry(), std::move(options), request);
  turn.entry().attaching = false;
  co_return attached;
}

io::Task<Outcome<control::AttachedVolume>> Attachments::resume(VolumeId volume,
                                                               control::AttachOptions options) {
  Turn turn = co_await enter(volume);
  engine::AttachRequest request;
  request.earlier_process = true;
  turn.entry().attaching = true;
  auto attached = co_await attach_in_turn(turn.entry(), std::move(options), request);
  turn.entry().attaching = false;
  co_return attached;
}

io::Task<Outcome<control::AttachedVolume>> Attachments::attach_in_turn(
    Entry& entry, control::AttachOptions options, engine::AttachRequest request) {
  if (entry.volume && entry.volume->ended()) {
    auto gone = co_await withdraw(entry, true);
    if (!gone) co_return tl::unexpected(gone.error());
    auto closed = co_await shut(entry);
    if (!closed) LOG_WARN("{}", closed.error().message);
  }
  if (entry.device) {
    if (entry.device->frontend == options.frontend) co_return *entry.device;
    co_return failure(Code::kBusy,
                      "the volume is attached here by the other frontend: detach it first");
  }
  if (!entry.volume) {
    auto opened = co_await open(entry, request);
    if (!opened) co_return tl::unexpected(opened.error());
  }
  DeviceServer& frontend = server(options.frontend);
  auto served = co_await frontend.serve(entry.id, options.volume_name, *entry.volume);
  if (!served) {
    auto closed = co_await shut(entry);
    if (!closed) LOG_WARN("{}", closed.error().message);
    co_return served;
  }
  entry.device = *served;
  co_return served;
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
  if (entry.healing) co_return Outcome<>{};
  auto closed = co_await shut(entry);
  co_return closed;
}

io::Task<Outcome<>> Attachments::heal(VolumeId volume) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  if (entry.volume && !entry.volume->ended()) co_return Outcome<>{};
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
  if (entry.device || entry.volume.get() != open) co_return;
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
  io::Task<Result<void>> task = change(*entry.volume);
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
  auto held = co_await entry.volume->write_hold().begin(hold, hold_max);
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
  auto told = co_await server(entry.device->frontend).resized(volume);
  co_return told;
}

io::Task<void> Attachments::close() {
  closing_ = true;
  for (VolumeId id : open_volumes()) {
    Turn turn = co_await enter(id);
    Entry& entry = turn.entry();
    auto gone = co_await withdraw(entry, false);
    if (!gone) {
      LOG_INFO("volume {}: left for the next process: {}", id.value, gone.error().message);
      continue;
    }
    auto closed = co_await shut(entry);
    if (!closed) LOG_WARN("{}", closed.error().message);
  }
  // In use: no more answers, so that the next process gets the requests; and no clean detach, so
  // that no other node takes the volume for free.
  co_await nbd_.leave();
  co_await fuse_.leave();
  for (VolumeId id : open_volumes()) {
    Turn turn = co_await enter(id);
    co_await turn.entry().volume->stop();
    turn.entry().volume.reset();
  }
  co_await group_.close();
}

}  // namespace cleat::node
