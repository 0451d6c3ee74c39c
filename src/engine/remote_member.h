// A replica on another node, reached through the node's connections, which it shares with those of
// other volumes.
//
// Threading: one loop. Ownership: borrows the peer pool.
#pragma once

#include "engine/member.h"
#include "wire/peer_pool.h"

namespace cleat::engine {

class RemoteMember final : public Member {
 public:
  RemoteMember(wire::PeerPool& peers, NodeId node) : peers_(peers), node_(node) {}

  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration timeout) override;
  io::Task<Result<Answer>> query(const wire::Header& request, ConstBuffer payload,
                                 Duration timeout) override;
  void give_up() override;

 private:
  wire::PeerPool& peers_;
  NodeId node_;
  wire::PeerClient::Scope calls_;
  std::weak_ptr<wire::PeerClient> last_;  // the connection that the last call used
};

}  // namespace cleat::engine
