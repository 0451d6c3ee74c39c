// A volume becomes a device of this node, and is one no more. Of a shared volume (ADR 9) the device
// is an engine::SharedDevice, whether this node is its primary or another.
#include "common/log.h"
#include "node/attachment_entry.h"

namespace cleat::node {

using control::failure;
using control::failure_from;
using control::Outcome;

namespace {

constexpr Duration kJoinMax = std::chrono::seconds(15);

// Numbers of operations that no earlier process of this node has used: it has made less than one in
// a microsecond.
uint64_t fresh_numbers() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

tl::unexpected<control::Failure> busy_by_other_frontend() {
  return failure(Code::kBusy, "the volume is attached here by the other frontend: detach it first");
}

}  // namespace

io::Task<Outcome<control::AttachedVolume>> Attachments::attach(VolumeId volume,
                                                               control::AttachOptions options) {
  Turn turn = co_await enter(volume);
  auto held = co_await device_waits(turn.entry());
  if (!held) co_return tl::unexpected(held.error());
  if (*held && options.frontend != control::Frontend::kFuse) co_return busy_by_other_frontend();
  if (*held) {
    auto resumed = co_await resume_in_turn(turn.entry(), options);
    if (resumed || resumed.error().code != Code::kStaleEpoch) co_return resumed;
    LOG_WARN("{}: its device is replaced", resumed.error().message);
    auto gone = co_await fuse_.withdraw(volume, true);
    if (!gone) co_return tl::unexpected(gone.error());
  }
  Attaching how;
  how.request.take_over = options.take_over;
  how.options = std::move(options);
  co_return co_await attach_marked(turn.entry(), std::move(how));
}

io::Task<Outcome<control::AttachedVolume>> Attachments::resume(VolumeId volume,
                                                               control::AttachOptions options) {
  Turn turn = co_await enter(volume);
  if (turn.entry().device) co_return *turn.entry().device;  // an attach came first
  co_return co_await resume_in_turn(turn.entry(), std::move(options));
}

// What waits in the device is older than whatever another node has written since: it may go on only
// where no other can have had the volume.
io::Task<Outcome<control::AttachedVolume>> Attachments::resume_in_turn(
    Entry& entry, control::AttachOptions options) {
  auto found = co_await context_.registry.load(entry.id);
  if (!found) co_return failure_from(found.error(), "cannot read the volume's record");
  const bool is_primary = found->record.primary == context_.self;
  Attaching how;
  how.request.earlier_process = true;
  how.begin = engine::SharedDevice::Begin::kResumed;
  how.options = std::move(options);
  how.options.shared = found->record.has_sharer(context_.self);
  how.options.through_primary = how.options.shared && !is_primary;
  if (!is_primary && !how.options.shared) {
    co_return failure(Code::kStaleEpoch,
                      "volume {} was taken from this node while its device waited for cleatd",
                      entry.id.value);
  }
  co_return co_await attach_marked(entry, std::move(how));
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
    co_return busy_by_other_frontend();
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

// What can't go on: a fenced volume with its device, and the device of a sharer that was expelled
// or closed. That of a shared volume goes on with the next primary.
io::Task<Outcome<>> Attachments::end_over(Entry& entry) {
  const bool is_fenced = entry.volume && entry.volume->volume().ended();
  const bool is_dead = entry.sharer && (entry.sharer->ended() || entry.sharer->closed());
  if (is_dead || (is_fenced && !entry.sharer)) {
    auto gone = co_await withdraw(entry, true);
    if (!gone) co_return gone;
  }
  if (is_dead) {
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
  if (closing_) co_return failure(Code::kClosed, "cleatd is stopping");
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
  if (force && entry.sharer) entry.sharer->close();  // its I/O need not wait for a primary any more
  auto gone = co_await server(entry.device->frontend).withdraw(entry.id, force);
  if (gone) entry.device.reset();
  co_return gone;
}

io::Task<Outcome<>> Attachments::withdraw_waiting(Entry& entry, bool force) {
  auto waits = co_await device_waits(entry);
  if (!waits) co_return tl::unexpected(waits.error());
  if (*waits) co_return co_await fuse_.withdraw(entry.id, force);
  co_return Outcome<>{};
}

io::Task<Outcome<>> Attachments::detach(VolumeId volume, bool force) {
  Turn turn = co_await enter(volume);
  Entry& entry = turn.entry();
  auto gone = co_await withdraw(entry, force);
  if (!gone) co_return gone;
  if (!entry.device) gone = co_await withdraw_waiting(entry, force);
  if (!gone) co_return gone;
  co_await leave_share(entry);
  if (entry.healing) co_return Outcome<>{};
  auto closed = co_await shut(entry);
  co_return closed;
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
    const bool is_open = known.volume != nullptr;  // still
    if (!is_open || !known.sharer || known.taken || !known.volume->volume().ended()) continue;
    Turn turn = co_await enter(id);
    std::unique_ptr<OpenVolume> fenced = std::move(turn.entry().volume);
    if (!fenced) continue;
    LOG_INFO("volume {}: another node is its primary now", id.value);
    co_await fenced->stop();
  }
}

}  // namespace cleat::node
