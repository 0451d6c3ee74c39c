#include "control/election.h"

#include "api/meta.pb.h"

namespace cleat::control {

bool Election::holds() {
  if (lease_ && !lease_->alive()) resign();
  if (held_) return true;
  if (!lease_) {
    auto granted = context_.store.grant_lease(context_.limits.node_lease);
    if (!granted) return false;
    lease_ = std::move(*granted);
  }
  meta::Holder holder;
  holder.set_node(context_.self.value);
  holder.set_since_unix_ms(context_.now_unix_ms());
  const std::string key = context_.keys.election(work_);
  held_ = context_.store
              .commit(Txn{}.require_absent(key).put(key, holder.SerializeAsString(), lease_->id()))
              .has_value();
  return held_;
}

void Election::resign() {
  held_ = false;
  lease_.reset();
}

}  // namespace cleat::control
