#include "control/mem_meta_store.h"

namespace cleat::control {

class MemMetaStore::MemWatch final : public Watch {
 public:
  MemWatch(MemMetaStore& store, uint64_t id) : store_(store), id_(id) {}
  ~MemWatch() override { store_.end_watch(id_); }

 private:
  MemMetaStore& store_;
  uint64_t id_;
};

class MemMetaStore::MemLease final : public Lease {
 public:
  MemLease(MemMetaStore& store, LeaseId id) : store_(store), id_(id) {}
  ~MemLease() override { store_.end_lease(id_); }
  LeaseId id() const override { return id_; }
  bool alive() const override { return store_.lease_alive(id_); }

 private:
  MemMetaStore& store_;
  LeaseId id_;
};

namespace {
tl::unexpected<Failure> unreachable() {
  return failure(Code::kUnreachable, "the metadata store can't be reached");
}
}  // namespace

bool MemMetaStore::reachable() {
  operations_++;
  return !unreachable_;
}

Outcome<std::optional<Versioned<std::string>>> MemMetaStore::get(const std::string& key) {
  std::lock_guard lock(mutex_);
  if (!reachable()) return unreachable();
  auto it = entries_.find(key);
  if (it == entries_.end()) return std::nullopt;
  return Versioned<std::string>{it->second.value, it->second.revision};
}

Outcome<Listing> MemMetaStore::list(const std::string& prefix) {
  std::lock_guard lock(mutex_);
  if (!reachable()) return unreachable();
  Listing out;
  out.revision = Revision{revision_};
  for (auto it = entries_.lower_bound(prefix);
       it != entries_.end() && it->first.starts_with(prefix); ++it) {
    out.entries.push_back({it->first, it->second.value, it->second.revision});
  }
  return out;
}

Outcome<Revision> MemMetaStore::commit(const Txn& txn) {
  std::lock_guard lock(mutex_);
  if (!reachable()) return unreachable();
  for (const auto& compare : txn.compares) {
    auto it = entries_.find(compare.key);
    Revision now = it == entries_.end() ? Revision{} : it->second.revision;
    if (now != compare.revision) {
      return failure(Code::kConflict, "{} was changed by somebody else", compare.key);
    }
  }
  for (const auto& put : txn.puts) {
    if (put.lease.value != 0 && !leases_.contains(put.lease.value)) {
      return failure(Code::kNotFound, "lease {} is gone", put.lease.value);
    }
  }
  std::vector<WatchEvent> events;
  revision_++;
  for (const auto& key : txn.deletes) erase_locked(key, events);
  for (const auto& put : txn.puts) {
    entries_[put.key] = {put.value, Revision{revision_}, put.lease};
    events.push_back({put.key, put.value, Revision{revision_}});
  }
  Revision at{revision_};
  notify(events);
  if (std::exchange(lose_answer_, false)) return unreachable();
  return at;
}

std::unique_ptr<Watch> MemMetaStore::watch(const std::string& prefix, Revision after,
                                           WatchCallback callback) {
  std::lock_guard lock(mutex_);
  std::vector<WatchEvent> missed;
  for (const auto& event : history_) {
    if (event.revision > after && event.key.starts_with(prefix)) missed.push_back(event);
  }
  uint64_t id = next_watch_++;
  watchers_[id] = {prefix, callback};
  if (!missed.empty()) callback(missed);
  return std::make_unique<MemWatch>(*this, id);
}

Outcome<std::unique_ptr<Lease>> MemMetaStore::grant_lease(Duration ttl) {
  std::lock_guard lock(mutex_);
  if (!reachable()) return unreachable();
  LeaseId id{next_lease_++};
  leases_[id.value] = {ttl, now_ + ttl, false};
  return std::make_unique<MemLease>(*this, id);
}

Outcome<StoreIdentity> MemMetaStore::identity() {
  std::lock_guard lock(mutex_);
  if (!reachable()) return unreachable();
  return StoreIdentity{1, "memory", Revision{revision_}};
}

void MemMetaStore::set_unreachable(bool unreachable) {
  std::lock_guard lock(mutex_);
  unreachable_ = unreachable;
}

void MemMetaStore::lose_next_answer() {
  std::lock_guard lock(mutex_);
  lose_answer_ = true;
}

void MemMetaStore::advance(Duration by) {
  std::lock_guard lock(mutex_);
  now_ += by;
  std::vector<WatchEvent> events;
  expire_locked(events);
  notify(events);
}

void MemMetaStore::abandon(LeaseId lease) {
  std::lock_guard lock(mutex_);
  auto it = leases_.find(lease.value);
  if (it != leases_.end()) it->second.abandoned = true;
}

std::map<std::string, std::string> MemMetaStore::dump() {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::string> out;
  for (const auto& [key, entry] : entries_) out[key] = entry.value;
  return out;
}

void MemMetaStore::restore(const std::map<std::string, std::string>& contents) {
  std::lock_guard lock(mutex_);
  entries_.clear();
  for (const auto& [key, value] : contents) entries_[key] = {value, Revision{++revision_}, {}};
}

uint64_t MemMetaStore::operations() const { return operations_; }

void MemMetaStore::expire_locked(std::vector<WatchEvent>& events) {
  for (auto& [id, lease] : leases_) {
    if (!lease.abandoned && !unreachable_) lease.expires = now_ + lease.ttl;
  }
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (it->second.expires > now_) {
      ++it;
      continue;
    }
    std::vector<std::string> keys;
    for (const auto& [key, entry] : entries_) {
      if (entry.lease.value == it->first) keys.push_back(key);
    }
    if (!keys.empty()) revision_++;
    for (const auto& key : keys) erase_locked(key, events);
    it = leases_.erase(it);
  }
}

void MemMetaStore::erase_locked(const std::string& key, std::vector<WatchEvent>& events) {
  if (entries_.erase(key) != 0) events.push_back({key, std::nullopt, Revision{revision_}});
}

void MemMetaStore::notify(const std::vector<WatchEvent>& events) {
  history_.insert(history_.end(), events.begin(), events.end());
  auto watchers = watchers_;
  for (const auto& [id, watcher] : watchers) {
    std::vector<WatchEvent> mine;
    for (const auto& event : events) {
      if (event.key.starts_with(watcher.prefix)) mine.push_back(event);
    }
    if (!mine.empty()) watcher.callback(mine);
  }
}

void MemMetaStore::end_lease(LeaseId lease) {
  std::lock_guard lock(mutex_);
  auto it = leases_.find(lease.value);
  if (it == leases_.end() || std::exchange(it->second.abandoned, true) || unreachable_) return;
  it->second.expires = now_;
  std::vector<WatchEvent> events;
  expire_locked(events);
  notify(events);
}

bool MemMetaStore::lease_alive(LeaseId lease) {
  std::lock_guard lock(mutex_);
  return leases_.contains(lease.value);
}

void MemMetaStore::end_watch(uint64_t id) {
  std::lock_guard lock(mutex_);
  watchers_.erase(id);
}

}  // namespace cleat::control
