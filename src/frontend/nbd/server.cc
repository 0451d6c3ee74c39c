#include "frontend/nbd/server.h"

#include "common/log.h"

namespace cleat::nbd {
namespace {

// When the process is out of descriptors: room may come, and asking at once again would spin.
constexpr Duration kAcceptRetry = 100ms;

}  // namespace

void Server::serve(std::unique_ptr<io::Listener> listener) {
  listeners_.push_back(std::move(listener));
  tasks_.spawn(accept_on(*listeners_.back()));
}

io::Task<void> Server::accept_on(io::Listener& listener) {
  while (!is_closing_) {
    Result<std::unique_ptr<io::Stream>> stream = co_await listener.accept();
    if (!stream && stream.error().code == Code::kClosed) co_return;
    if (!stream) {
      LOG_WARN("NBD: cannot accept a client: {}", to_string(stream.error()));
      co_await executor_.sleep(kAcceptRetry);
      continue;
    }
    if (is_closing_ || connections_.size() >= kConnectionsMax) continue;
    connections_.emplace_back(executor_, pool_, directory_, std::move(*stream));
    tasks_.spawn(run(std::prev(connections_.end())));
  }
}

io::Task<void> Server::run(std::list<Connection>::iterator connection) {
  Result<void> result = co_await connection->run();
  if (!result && result.error().code != Code::kClosed) {
    LOG_WARN("NBD: a client's connection ended: {}", to_string(result.error()));
  }
  connections_.erase(connection);
}

io::Task<void> Server::close() {
  is_closing_ = true;
  for (auto& listener : listeners_) listener->close();
  for (Connection& connection : connections_) connection.shutdown();
  co_await tasks_.close();
  listeners_.clear();
}

}  // namespace cleat::nbd
