// Serves NBD clients on any number of listeners (unix socket, TCP).
//
// Threading: the loop of the volumes. Ownership: owns its listeners and connections, borrows the
// rest; close() before it dies.
#pragma once

#include <list>
#include <memory>

#include "frontend/nbd/connection.h"
#include "io/stream.h"
#include "io/task_group.h"

namespace cleat::nbd {

class Server {
 public:
  static constexpr size_t kConnectionsMax = 256;  // more are hung up on

  Server(io::Executor& executor, io::BufferPool& pool, ExportDirectory& directory)
      : executor_(executor), pool_(pool), directory_(directory) {}

  // Accepts in the background from now on.
  void serve(std::unique_ptr<io::Listener> listener);
  // Ends every listener and connection and waits for them.
  io::Task<void> close();
  size_t connection_count() const { return connections_.size(); }

 private:
  io::Task<void> accept_on(io::Listener& listener);
  io::Task<void> run(std::list<Connection>::iterator connection);

  io::Executor& executor_;
  io::BufferPool& pool_;
  ExportDirectory& directory_;
  bool is_closing_ = false;
  std::list<std::unique_ptr<io::Listener>> listeners_;
  std::list<Connection> connections_;
  io::TaskGroup tasks_;
};

}  // namespace cleat::nbd
