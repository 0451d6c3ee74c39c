#include "node/attachments.h"

#include "common/log.h"
#include "node/attachment_entry.h"

namespace cleat::node {

using control::failure;
using control::failure_from;
using control::Outcome;

namespace {

constexpr Duration kHealMax = std::chrono::hours(24);
constexpr Duration kAnswersMax =
    std::chrono::seconds(1);  // to what is under way at an orderly stop

}  // namespace

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
  if (closing_) {
    co_await (*volume)->stop();
    co_return failure(Code::kClosed, "cleatd is stopping");
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

io::Task<Outcome<>> Attachments::heal(VolumeId volume) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  auto over = co_await end_over(entry);
  if (!over) co_return over;
  if (entry.volume) co_return Outcome<>{};
  auto opened = co_await open_for_a_while(entry);
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

io::Task<Outcome<bool>> Attachments::device_waits(Entry& entry) {
  auto waits = co_await fuse_.holds(entry.id);
  if (!waits && waits.error().code == Code::kUnreachable) co_return false;  // no keeper, no device
  co_return waits;
}

// Who shuts the volume again takes it from a device of an earlier process that waits for it here.
io::Task<Outcome<>> Attachments::open_for_a_while(Entry& entry) {
  auto waits = co_await device_waits(entry);
  if (!waits) co_return tl::unexpected(waits.error());
  if (*waits) {
    co_return failure(Code::kBusy,
                      "volume {}: its device waits to be served again after cleatd was started "
                      "anew: try again in a moment",
                      entry.id.value);
  }
  co_return co_await open(entry, engine::AttachRequest{});
}

io::Task<Outcome<>> Attachments::with_volume(VolumeId volume, Change change, bool heal) {
  Turn turn = co_await enter(volume);
  co_return co_await change_in_turn(turn.entry(), std::move(change), heal);
}

io::Task<Outcome<>> Attachments::with_detached_volume(VolumeId volume, Change change) {
  Turn turn = co_await enter(volume);
  if (turn.entry().device) {
    co_return failure(Code::kBusy, "volume {} is attached: detach it first", volume.value);
  }
  co_return co_await change_in_turn(turn.entry(), std::move(change), false);
}

io::Task<Outcome<>> Attachments::change_in_turn(Entry& entry, Change change, bool heal) {
  const VolumeId volume = entry.id;
  bool opened_here = !entry.volume;
  if (opened_here) {
    auto opened = co_await open_for_a_while(entry);
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

io::Task<void> Attachments::drop_lost_devices() {
  for (VolumeId id : in_use()) {
    Entry& known = *entries_.at(id);
    if (closing_) co_return;  // they end because they are left to the next process
    if (known.taken || !known.device || server(known.device->frontend).serves(id)) continue;
    Turn turn = co_await enter(id);
    LOG_ERROR("volume {}: its device {} is gone", id.value, known.device->device);
    auto gone = co_await withdraw(known, true);
    if (!gone) LOG_WARN("{}", gone.error().message);
    if (gone) co_await leave_share(known);
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

std::vector<VolumeId> Attachments::in_use() const {
  std::vector<VolumeId> used;
  for (const auto& [id, entry] : entries_) {
    if (entry->volume || entry->sharer) used.push_back(id);
  }
  return used;
}

std::vector<VolumeId> Attachments::known() const {
  std::vector<VolumeId> all;
  for (const auto& [id, entry] : entries_) all.push_back(id);
  return all;
}

io::Task<void> Attachments::stop_volume(VolumeId volume) {
  Turn turn = co_await enter(volume);
  if (turn.entry().volume) co_await turn.entry().volume->stop();
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
  const TimePoint patient_until = context_.executor.now() + kAnswersMax;
  while (leaving.running() > 0 && context_.executor.now() < patient_until) {
    co_await context_.executor.sleep(10ms);
  }
  // What waits for a replica or for etcd still is left to the next process too: the other devices
  // wait for that.
  for (VolumeId id : known()) leaving.spawn(stop_volume(id));
  co_await leaving.close();
  for (VolumeId id : known()) {
    Entry& entry = *entries_.at(id);
    entry.volume.reset();
    if (entry.sharer) co_await entry.sharer->stop();
    entry.sharer.reset();
  }
  co_await group_.close();
}

}  // namespace cleat::node
