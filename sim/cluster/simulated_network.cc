#include "sim/cluster/simulated_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace cleat::sim {

// Both directions between two processes; end 0 dialled.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct End {
    End(HostIndex index, uint64_t life, io::Executor& executor)
        : host(index), incarnation(life), readable(executor) {}
    HostIndex host;
    uint64_t incarnation;
    io::WaitQueue readable;
    std::deque<std::byte> received;
    std::deque<std::pair<TimePoint, std::vector<std::byte>>> coming;
    bool pumping = false;
    bool finished = false;  // the other side closed in order: after what was received comes the end
    bool reset = false;
    bool shut_down = false;  // by its own side
  };

  Connection(NetworkFabric& fabric, HostIndex dialler, io::Executor& dialler_executor,
             HostIndex other, io::Executor& other_executor)
      : fabric_(fabric),
        ends_{{End(dialler, fabric.hosts_[dialler].incarnation, dialler_executor),
               End(other, fabric.hosts_[other].incarnation, other_executor)}} {}

  End& end(int side) { return ends_[static_cast<size_t>(side)]; }

  void send(int side, std::vector<std::byte> bytes) {
    End& to = end(1 - side);
    TimePoint due = fabric_.loop_.now() + fabric_.latency();
    if (!to.coming.empty()) due = std::max(due, to.coming.back().first);
    to.coming.emplace_back(due, std::move(bytes));
    if (to.pumping) return;
    to.pumping = true;
    fabric_.loop_.spawn(pump(shared_from_this(), 1 - side));
  }

  void reset_end(int side) {
    End& to = end(side);
    to.reset = true;
    to.readable.notify_all();
  }

  bool alive(int side) {
    const End& e = end(side);
    const NetworkFabric::Host& host = fabric_.hosts_[e.host];
    return host.up && host.incarnation == e.incarnation;
  }

 private:
  // Carries what comes to one end. An empty message is the end of the stream.
  static io::Task<void> pump(std::shared_ptr<Connection> self, int side) {
    End& to = self->end(side);
    NetworkFabric& fabric = self->fabric_;
    while (!to.coming.empty()) {
      co_await fabric.loop_.sleep_until(to.coming.front().first);
      while (fabric.is_cut(to.host, self->end(1 - side).host) || !fabric.hosts_[to.host].up) {
        co_await fabric.changed_.wait();
        co_await fabric.loop_.sleep(fabric.retransmission());
      }
      if (!self->alive(side)) {
        self->reset_end(1 - side);  // another process answers there now
        break;
      }
      if (to.reset) break;
      std::vector<std::byte> bytes = std::move(to.coming.front().second);
      to.coming.pop_front();
      if (bytes.empty()) to.finished = true;
      to.received.insert(to.received.end(), bytes.begin(), bytes.end());
      to.readable.notify_all();
    }
    to.pumping = false;
  }

  NetworkFabric& fabric_;
  std::array<End, 2> ends_;
};

namespace {

class SimulatedStream final : public io::Stream {
 public:
  SimulatedStream(std::shared_ptr<Connection> connection, int side)
      : connection_(std::move(connection)), side_(side) {}
  ~SimulatedStream() override { shutdown(); }

  io::Task<Result<size_t>> read_some(MutableBuffer into) override {
    Connection::End& end = connection_->end(side_);
    while (end.received.empty()) {
      if (end.shut_down) co_return fail(Code::kClosed, "shut down");
      if (end.reset) co_return fail(Code::kUnreachable, "connection reset");
      if (end.finished) co_return fail(Code::kClosed, "end of stream");
      co_await end.readable.wait();
    }
    if (end.shut_down) co_return fail(Code::kClosed, "shut down");
    size_t size = std::min(into.size(), end.received.size());
    std::copy_n(end.received.begin(), size, into.begin());
    end.received.erase(end.received.begin(), end.received.begin() + static_cast<long>(size));
    co_return size;
  }

  io::Task<Result<void>> write_all(std::span<const ConstBuffer> parts) override {
    Connection::End& end = connection_->end(side_);
    if (end.shut_down) co_return fail(Code::kClosed, "shut down");
    if (end.reset) co_return fail(Code::kUnreachable, "connection reset");
    std::vector<std::byte> bytes;
    for (ConstBuffer part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
    if (!bytes.empty()) connection_->send(side_, std::move(bytes));
    co_return Result<void>{};
  }

  void shutdown() override {
    Connection::End& end = connection_->end(side_);
    if (end.shut_down) return;
    end.shut_down = true;
    if (!end.reset && connection_->alive(side_)) connection_->send(side_, {});
    end.readable.notify_all();
  }

 private:
  std::shared_ptr<Connection> connection_;
  int side_;
};

}  // namespace

class SimulatedListener final : public io::Listener {
 public:
  SimulatedListener(NetworkFabric& fabric, HostIndex host, io::Executor& executor, std::string at)
      : fabric_(fabric), host_(host), executor_(executor), at_(std::move(at)), arrived_(executor) {
    fabric_.listeners_[at_] = this;
  }
  ~SimulatedListener() override { close(); }

  io::Task<Result<std::unique_ptr<io::Stream>>> accept() override {
    while (waiting_.empty()) {
      if (closed_) co_return fail(Code::kClosed, "listener closed");
      co_await arrived_.wait();
    }
    std::unique_ptr<io::Stream> stream = std::move(waiting_.front());
    waiting_.pop_front();
    co_return stream;
  }
  void close() override {
    closed_ = true;
    auto found = fabric_.listeners_.find(at_);
    if (found != fabric_.listeners_.end() && found->second == this) fabric_.listeners_.erase(found);
    arrived_.notify_all();
  }
  void offer(std::unique_ptr<io::Stream> stream) {
    waiting_.push_back(std::move(stream));
    arrived_.notify_all();
  }
  HostIndex host() const { return host_; }
  io::Executor& executor() { return executor_; }

 private:
  NetworkFabric& fabric_;
  HostIndex host_;
  io::Executor& executor_;
  std::string at_;
  io::WaitQueue arrived_;
  std::deque<std::unique_ptr<io::Stream>> waiting_;
  bool closed_ = false;
};

NetworkFabric::NetworkFabric(SimulatedLoop& loop, uint32_t hosts)
    : loop_(loop), hosts_(hosts), changed_(loop) {}

NetworkFabric::~NetworkFabric() = default;

void NetworkFabric::cut(HostIndex a, HostIndex b) { cuts_.insert(std::minmax(a, b)); }

void NetworkFabric::heal(HostIndex a, HostIndex b) {
  cuts_.erase(std::minmax(a, b));
  changed_.notify_all();
}

bool NetworkFabric::is_cut(HostIndex a, HostIndex b) const {
  return cuts_.contains(std::minmax(a, b));
}

Duration NetworkFabric::latency() {
  Random& random = loop_.random();
  Duration spread = faults_.latency_max - faults_.latency_min;
  auto extra = static_cast<int64_t>(random.below(static_cast<uint64_t>(spread.count()) + 1));
  Duration total = faults_.latency_min + Duration(extra);
  if (random.chance(faults_.slow_chance)) {
    total += Duration(
        static_cast<int64_t>(random.below(static_cast<uint64_t>(faults_.slow_max.count()))));
  }
  return total;
}

// After a link is healed TCP sends again when its timer runs out, which it doubled meanwhile: what
// an old connection still had to carry may arrive long after a new one has been made.
Duration NetworkFabric::retransmission() {
  auto most = static_cast<uint64_t>(Duration(faults_.retransmission_max).count());
  return loop_.random().chance(0.5) ? Duration{}
                                    : Duration(static_cast<int64_t>(loop_.random().below(most)));
}

void NetworkFabric::start_process(HostIndex host) {
  ++hosts_[host].incarnation;
  hosts_[host].up = true;
  changed_.notify_all();  // what was sent to the process before is now reset
}

void NetworkFabric::end_process(HostIndex host, bool power_lost) {
  hosts_[host].up = !power_lost;
  ++hosts_[host].incarnation;
  std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
  for (auto& weak : connections_) {
    auto connection = weak.lock();
    if (!connection) continue;
    for (int side : {0, 1}) {
      if (connection->end(side).host != host) continue;
      connection->reset_end(side);
      bool told = !power_lost && !is_cut(host, connection->end(1 - side).host);
      if (told) connection->reset_end(1 - side);
    }
  }
  absl::erase_if(listeners_, [host](const auto& entry) { return entry.second->host() == host; });
  changed_.notify_all();
}

io::Address SimulatedNetwork::address_of(HostIndex host) {
  return io::Address{fmt::format("host:{}", host)};
}

io::Task<Result<std::unique_ptr<io::Stream>>> SimulatedNetwork::connect(io::Address to,
                                                                        Duration timeout) {
  auto other = static_cast<HostIndex>(std::stoul(to.text.substr(to.text.find(':') + 1)));
  co_await fabric_.loop_.sleep(fabric_.latency());
  const NetworkFabric::Host& own = fabric_.hosts_[host_];
  if (own.incarnation != incarnation_ || !own.up) {
    co_return fail(Code::kUnreachable, "the process is dead");
  }
  if (fabric_.is_cut(host_, other) || !fabric_.hosts_[other].up) {
    co_await executor_.sleep(timeout);
    co_return fail(Code::kTimedOut, "connect");
  }
  auto listener = fabric_.listeners_.find(to.text);
  bool mine = own.incarnation == incarnation_ && own.up;
  if (!mine || listener == fabric_.listeners_.end()) co_return fail(Code::kUnreachable, "refused");
  auto connection =
      std::make_shared<Connection>(fabric_, host_, executor_, other, listener->second->executor());
  fabric_.connections_.push_back(connection);
  listener->second->offer(std::make_unique<SimulatedStream>(connection, 1));
  std::unique_ptr<io::Stream> stream = std::make_unique<SimulatedStream>(connection, 0);
  co_return stream;
}

io::Task<Result<std::unique_ptr<io::Listener>>> SimulatedNetwork::listen(io::Address at) {
  std::unique_ptr<io::Listener> listener =
      std::make_unique<SimulatedListener>(fabric_, host_, executor_, at.text);
  co_return listener;
}

}  // namespace cleat::sim
