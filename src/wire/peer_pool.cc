#include "wire/peer_pool.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/log.h"

namespace cleat::wire {

// What is known of one node. Lives as long as the pool: coroutines come back to it after their
// waits.
struct PeerPool::Peer {
  Peer(io::Executor& executor, NodeId id) : node(id), attempt_ended(executor) {}

  const NodeId node;
  io::Address address;  // empty: forgotten
  std::shared_ptr<PeerClient> client;
  bool connecting = false;
  io::WaitQueue attempt_ended;
  Duration backoff{};  // before the attempt after the next failed one
  TimePoint next_attempt{};
  HandshakeFailure failure;

  bool connected() const { return client != nullptr && client->is_open(); }
};

PeerPool::PeerPool(io::Executor& executor, io::BufferPool& buffers, io::Network& network,
                   const Identity& identity, PeerPoolOptions options)
    : executor_(executor),
      buffers_(buffers),
      network_(network),
      identity_(identity),
      options_(options) {}

PeerPool::~PeerPool() { CHECK(group_.running() == 0, "a pool is closed before it dies"); }

PeerPool::Peer* PeerPool::find(NodeId node) const {
  auto it = peers_.find(node);
  return it == peers_.end() ? nullptr : it->second.get();
}

void PeerPool::set_address(NodeId node, io::Address address) {
  Peer* peer = find(node);
  if (peer == nullptr) {
    peer = peers_.emplace(node, std::make_unique<Peer>(executor_, node)).first->second.get();
  }
  if (peer->address == address) return;
  peer->address = std::move(address);
  peer->backoff = {};
  peer->next_attempt = {};
  peer->failure = {};
  if (peer->client != nullptr) std::exchange(peer->client, nullptr)->shutdown();
}

void PeerPool::forget(NodeId node) {
  if (find(node) != nullptr) set_address(node, io::Address{});
}

bool PeerPool::is_connected(NodeId node) const {
  const Peer* peer = find(node);
  return peer != nullptr && peer->connected();
}

std::string PeerPool::last_failure(NodeId node) const {
  const Peer* peer = find(node);
  return peer == nullptr || peer->connected() ? std::string{} : peer->failure.text;
}

io::Task<Result<std::shared_ptr<PeerClient>>> PeerPool::get(NodeId node) {
  Peer* peer = find(node);
  if (closing_) co_return fail(Code::kClosed, "connections to peers are closed");
  if (peer == nullptr || peer->address.text.empty()) {
    co_return fail(Code::kNotFound, "address of a peer");
  }
  if (peer->connected()) co_return peer->client;
  if (!peer->connecting) {
    if (executor_.now() < peer->next_attempt) co_return fail(peer->failure.error);
    peer->connecting = true;
    group_.spawn(connect(*peer));
  }
  while (peer->connecting) co_await peer->attempt_ended.wait();
  if (peer->connected()) co_return peer->client;
  if (closing_) co_return fail(Code::kClosed, "connections to peers are closed");
  if (peer->address.text.empty()) co_return fail(Code::kNotFound, "address of a peer");
  co_return fail(peer->failure.text.empty()
                     ? Error{Code::kUnreachable, 0, "connection to the peer was lost"}
                     : peer->failure.error);
}

// Tries until it is connected or an attempt to the address that is still the right one has failed.
io::Task<void> PeerPool::connect(Peer& peer) {
  bool again = true;
  while (again) {
    const io::Address address = peer.address;
    auto attempting = attempt(peer.node, address);
    HandshakeResult<std::shared_ptr<PeerClient>> client = co_await std::move(attempting);
    bool current = !closing_ && peer.address == address;
    again = !closing_ && !current && !peer.address.text.empty();
    if (client && current) {
      peer.client = *client;
      peer.backoff = {};
      peer.next_attempt = {};
      peer.failure = {};
      LOG_INFO("connected to node {} at {}", (*client)->session().peer_name, address.text);
    } else if (!client && current) {
      failed(peer, client.error());
    }
    if (client) {
      if (!current) (*client)->shutdown();
      group_.spawn(keep(std::move(*client)));
    }
  }
  peer.connecting = false;
  peer.attempt_ended.notify_all();
}

void PeerPool::failed(Peer& peer, const HandshakeFailure& failure) {
  if (peer.failure.text != failure.text) {  // once per reason, not per attempt
    LOG_WARN("node {} at {} can't be reached: {}", peer.node.value, peer.address.text,
             failure.text);
  }
  peer.failure = failure;
  peer.backoff = std::clamp(peer.backoff * 2, options_.backoff_min, options_.backoff_max);
  peer.next_attempt = executor_.now() + peer.backoff;
}

io::Task<HandshakeResult<std::shared_ptr<PeerClient>>> PeerPool::attempt(NodeId node,
                                                                         io::Address address) {
  auto connecting = network_.connect(address, options_.connect_timeout);
  Result<std::unique_ptr<io::Stream>> stream = co_await std::move(connecting);
  if (!stream) {
    HandshakeFailure failure{stream.error(),
                             "no connection to " + address.text + ": " + to_string(stream.error())};
    co_return tl::unexpected<HandshakeFailure>(std::move(failure));
  }
  auto shaking =
      handshake_as_client(executor_, **stream, identity_, node, options_.handshake_timeout);
  HandshakeResult<Session> session = co_await std::move(shaking);
  if (!session) co_return tl::unexpected<HandshakeFailure>(session.error());
  co_return std::make_shared<PeerClient>(executor_, buffers_, std::move(*stream), *session);
}

// Runs a connection to its end and holds it until then.
io::Task<void> PeerPool::keep(std::shared_ptr<PeerClient> client) {
  auto running = client->run();
  co_await std::move(running);
  Peer* peer = find(client->session().peer);
  if (peer != nullptr && peer->client == client) peer->client = nullptr;
}

io::Task<Result<Message>> PeerPool::call(NodeId node, Header request, ConstBuffer payload,
                                         Duration timeout) {
  auto getting = get(node);
  Result<std::shared_ptr<PeerClient>> client = co_await std::move(getting);
  if (!client) co_return fail(client.error());
  auto calling = (*client)->call(request, payload, timeout);
  Result<Message> reply = co_await std::move(calling);
  co_return reply;
}

io::Task<Result<Header>> PeerPool::call_into(NodeId node, Header request, MutableBuffer into,
                                             Duration timeout) {
  auto getting = get(node);
  Result<std::shared_ptr<PeerClient>> client = co_await std::move(getting);
  if (!client) co_return fail(client.error());
  auto calling = (*client)->call_into(request, into, timeout);
  Result<Header> reply = co_await std::move(calling);
  co_return reply;
}

io::Task<void> PeerPool::close() {
  closing_ = true;
  for (auto& [node, peer] : peers_) {
    if (peer->client != nullptr) std::exchange(peer->client, nullptr)->shutdown();
  }
  co_await group_.close();
}

}  // namespace cleat::wire
