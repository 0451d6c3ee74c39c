// What Attachments knows of one volume, and whose turn it is.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "io/sync.h"
#include "node/attachments.h"

namespace cleat::node {

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

}  // namespace cleat::node
