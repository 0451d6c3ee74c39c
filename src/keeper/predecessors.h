// Processes that served connections before the present client. While one of them lives, no
// descriptor may be handed on: two readers of a connection would each get some of its requests.
#pragma once

#include <vector>

#include "io/file_descriptor.h"

namespace cleat::keeper {

struct Peer {
  int pid = 0;
  unsigned uid = 0;
  io::FileDescriptor process;  // a pidfd; not valid on kernels that can't give one
};

// Who is at the other end of a unix socket.
Peer peer_of(int socket);

class Predecessors {
 public:
  void add(Peer peer) { peers_.push_back(std::move(peer)); }
  // The pid of one that has not ended, other than `present_pid`; 0 when there is none.
  int find_living(int present_pid);

 private:
  std::vector<Peer> peers_;
};

}  // namespace cleat::keeper
