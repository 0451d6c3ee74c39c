// The keeper's one thread: a socket, the cleatd at its other end, jobs that end, and the signal to
// stop.
//
// One client at a time: a newer one takes the place of the one before, whose connection is closed.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "keeper/devices.h"
#include "keeper/predecessors.h"
#include "keeper/protocol.h"

namespace cleat::keeper {

class Keeper {
 public:
  explicit Keeper(std::string run_dir);

  // EADDRINUSE: another keeper serves this run directory.
  Outcome<> start();
  // Until `stop_fd` becomes readable and everything is taken down, or 8 s after.
  void run(int stop_fd);

 private:
  using Clock = std::chrono::steady_clock;
  struct Outgoing {
    Reply reply;
    io::FileDescriptor fd;  // of its own: the device may go before the packet does
  };
  struct Client {
    io::FileDescriptor socket;
    Peer peer;
    uint64_t number = 0;
    std::deque<Outgoing> outgoing;
  };

  Outcome<> lock();
  Outcome<> listen();
  void turn(int stop_fd);
  int timeout_ms() const;
  void start_stopping();
  void pass_deadlines();
  bool may_end() const;

  void accept();
  void drop_client(const char* why);
  void receive();
  void send_outgoing();

  void handle(const Request& request);
  bool refuse(const Request& request);
  void hello(const Request& request);
  void create(const Request& request);
  void list(const Request& request);
  Devices::Done answer_to(const Request& request);
  void answer(const Request& request, const Outcome<int>& result);
  void push(const Reply& reply, int fd = -1);

  std::string run_dir_;
  std::string socket_path_;
  io::FileDescriptor lock_;
  io::FileDescriptor listener_;
  JobRunner jobs_;
  Devices devices_;
  std::optional<Client> client_;
  uint64_t client_count_ = 0;
  Predecessors predecessors_;
  std::optional<Clock::time_point> stopping_since_;
  bool was_forced_ = false;
};

}  // namespace cleat::keeper
