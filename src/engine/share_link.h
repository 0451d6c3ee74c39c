// Port: how a sharer reaches the primary of its shared volume. And the real one, over the node's
// connections or, where this node is the primary itself, in this process.
//
// Threading: the loop. Memory passed in stays alive until the call returns.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "engine/share_service.h"
#include "wire/peer_pool.h"

namespace cleat::engine {

class ShareLink {
 public:
  virtual ~ShareLink() = default;
  // The error is one of the way: kUnreachable, kTimedOut, kUnsupported (an older cleatd). What the
  // primary itself says against the request is the reply's (Header::status()).
  virtual io::Task<Result<wire::Header>> call(NodeId primary, const wire::Header& request,
                                              ConstBuffer payload, MutableBuffer into,
                                              Duration timeout) = 0;
  // Ends every call for this volume that is under way to it, with kUnreachable.
  virtual void give_up(NodeId primary, VolumeId volume) = 0;
};

class PeerShareLink final : public ShareLink {
 public:
  PeerShareLink(NodeId self, wire::PeerPool& peers, ShareService& here)
      : self_(self), peers_(peers), here_(here) {}

  io::Task<Result<wire::Header>> call(NodeId primary, const wire::Header& request,
                                      ConstBuffer payload, MutableBuffer into,
                                      Duration timeout) override;
  void give_up(NodeId primary, VolumeId volume) override;

 private:
  struct Way {
    wire::PeerClient::Scope calls;
    std::weak_ptr<wire::PeerClient> last;  // the connection that the last call used
  };
  const NodeId self_;
  wire::PeerPool& peers_;
  ShareService& here_;
  std::map<std::pair<NodeId, VolumeId>, Way> ways_;
};

}  // namespace cleat::engine
