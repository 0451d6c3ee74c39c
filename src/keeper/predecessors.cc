#include "keeper/predecessors.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace cleat::keeper {
namespace {

constexpr int kSoPeerPidFd = 77;  // SO_PEERPIDFD, Linux 6.5: works across pid namespaces

bool has_ended(const Peer& peer) {
  if (!peer.process.valid()) return ::kill(peer.pid, 0) < 0 && errno == ESRCH;
  pollfd exited{peer.process.get(), POLLIN, 0};
  return ::poll(&exited, 1, 0) == 1;
}

}  // namespace

Peer peer_of(int socket) {
  Peer peer;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
    peer.pid = credentials.pid;
    peer.uid = credentials.uid;
  }
  int fd = -1;
  size = sizeof fd;
  if (::getsockopt(socket, SOL_SOCKET, kSoPeerPidFd, &fd, &size) < 0) {
    fd = static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0));
  }
  peer.process = io::FileDescriptor(fd);
  return peer;
}

int Predecessors::find_living(int present_pid) {
  std::erase_if(peers_, [](const Peer& peer) { return has_ended(peer); });
  for (const Peer& peer : peers_) {
    if (peer.pid != present_pid) return peer.pid;
  }
  return 0;
}

}  // namespace cleat::keeper
