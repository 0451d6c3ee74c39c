// The connections of this node to the others: one PeerClient a node, made when first asked for and
// made again when lost.
//
// Threading: one loop (a node with several data loops has a pool for each).
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>

#include "io/task_group.h"
#include "wire/peer_connection.h"

namespace cleat::wire {

struct PeerPoolOptions {
  Duration connect_timeout = 1s;
  Duration handshake_timeout = 2s;
  // After a lost connection the next attempt is at once; after a failed attempt the next waits this
  // long, doubled up to the maximum.
  Duration backoff_min = 20ms;
  Duration backoff_max = 1s;
};

class PeerPool {
 public:
  // Borrows all but the identity. close() must have returned before the pool dies.
  PeerPool(io::Executor& executor, io::BufferPool& buffers, io::Network& network,
           const Identity& identity, PeerPoolOptions options);
  PeerPool(const PeerPool&) = delete;
  ~PeerPool();

  // Where a node is reached. Another address than before ends the connection to the old one.
  void set_address(NodeId node, io::Address address);
  // Ends the connection to the node; it is then not known any more.
  void forget(NodeId node);

  // The open connection to the node, made now if there is none. Those who ask meanwhile share one
  // attempt. kNotFound without an address; kUnreachable when the attempt failed, or at once while
  // the next attempt is not due; kTimedOut, kPermission, kUnsupported, kCorrupt as the handshake
  // ended; kClosed.
  io::Task<Result<std::shared_ptr<PeerClient>>> get(NodeId node);

  // get() and the call in one; `timeout` is that of the call alone.
  io::Task<Result<Message>> call(NodeId node, Header request, ConstBuffer payload,
                                 Duration timeout);
  io::Task<Result<Header>> call_into(NodeId node, Header request, MutableBuffer into,
                                     Duration timeout);

  bool is_connected(NodeId node) const;
  // Why the last attempt to reach the node failed, for people; empty when it is connected or never
  // failed.
  std::string last_failure(NodeId node) const;

  // Ends every connection and waits for all of them.
  io::Task<void> close();

 private:
  struct Peer;

  Peer* find(NodeId node) const;
  io::Task<void> connect(Peer& peer);
  io::Task<HandshakeResult<std::shared_ptr<PeerClient>>> attempt(NodeId node, io::Address address);
  io::Task<void> keep(std::shared_ptr<PeerClient> client);
  void failed(Peer& peer, const HandshakeFailure& failure);

  io::Executor& executor_;
  io::BufferPool& buffers_;
  io::Network& network_;
  const Identity identity_;
  const PeerPoolOptions options_;
  io::TaskGroup group_;
  absl::flat_hash_map<NodeId, std::unique_ptr<Peer>> peers_;
  bool closing_ = false;
};

}  // namespace cleat::wire
