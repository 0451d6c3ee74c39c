// Protobuf values in a MetaStore. What doesn't parse is kCorrupt with the key in the message.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/meta_store.h"

namespace cleat::control {

template <class Message>
Outcome<Message> parse_value(const std::string& key, const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return failure(Code::kCorrupt,
                   "the value of {} in etcd can't be read ({} bytes): restore etcd, or "
                   "run `cleat cluster rebuild-metadata`",
                   key, bytes.size());
  }
  return message;
}

template <class Message>
Outcome<std::optional<Versioned<Message>>> load(MetaStore& store, const std::string& key) {
  OUTCOME_ASSIGN(auto found, store.get(key));
  if (!found) return std::nullopt;
  OUTCOME_ASSIGN(Message message, parse_value<Message>(key, found->value));
  return Versioned<Message>{std::move(message), found->revision};
}

template <class Message>
struct Keyed {
  std::string key;
  Message value;
  Revision revision;
};

template <class Message>
Outcome<std::vector<Keyed<Message>>> load_all(MetaStore& store, const std::string& prefix) {
  OUTCOME_ASSIGN(Listing listing, store.list(prefix));
  std::vector<Keyed<Message>> out;
  out.reserve(listing.entries.size());
  for (auto& entry : listing.entries) {
    OUTCOME_ASSIGN(Message message, parse_value<Message>(entry.key, entry.value));
    out.push_back({std::move(entry.key), std::move(message), entry.revision});
  }
  return out;
}

// Reads, changes and writes one value until no one else interferes. `change` returns false to leave
// it. kNotFound when the key does not exist; kConflict after many tries.
template <class Message, class Change>
Outcome<Message> update(MetaStore& store, const std::string& key, Change change) {
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    OUTCOME_ASSIGN(auto found, load<Message>(store, key));
    if (!found) return failure(Code::kNotFound, "{} is gone", key);
    if (!change(found->value)) return std::move(found->value);
    auto done = store.commit(
        Txn{}.require(key, found->revision).put(key, found->value.SerializeAsString()));
    if (done) return std::move(found->value);
    if (done.error().code != Code::kConflict) return tl::unexpected(done.error());
  }
  return failure(Code::kConflict, "{} is changed by others all the time: try again", key);
}

}  // namespace cleat::control
