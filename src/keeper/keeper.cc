#include "keeper/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "common/log.h"
#include "keeper/descriptor_passing.h"

namespace cleat::keeper {
namespace {

constexpr auto kGentleTime = std::chrono::seconds(3);
constexpr auto kStopTime = std::chrono::seconds(8);
constexpr size_t kOutgoingMax = 16 * 1024;

Reply reply_to(const Request& request, ReplyType type) {
  Reply reply;
  reply.type = static_cast<uint16_t>(type);
  reply.request_id = request.request_id;
  reply.volume_id = request.volume_id;
  return reply;
}

}  // namespace

Keeper::Keeper(std::string run_dir)
    : run_dir_(std::move(run_dir)),
      socket_path_(run_dir_ + "/" + kSocketName),
      devices_(run_dir_, jobs_) {}

// ---- start and end

Outcome<> Keeper::start() {
  std::error_code error;
  std::filesystem::create_directories(run_dir_, error);
  if (error) return failure(error.value(), "make the directory " + run_dir_);
  // Before the leftovers: they might be another keeper's living devices.
  Outcome<> locked = lock();
  if (!locked) return locked;
  Outcome<> started = devices_.start();
  if (!started) return started;
  return listen();
}

Outcome<> Keeper::lock() {
  std::string path = run_dir_ + "/keeper.lock";
  lock_ = io::FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.valid()) return failure(errno, "open " + path);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) < 0) {
    return failure(EADDRINUSE, "another cleat-keeper serves " + run_dir_ + ", stop it first");
  }
  return {};
}

Outcome<> Keeper::listen() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof address.sun_path) {
    return failure(ENAMETOOLONG, "the path of the socket, " + socket_path_);
  }
  socket_path_.copy(address.sun_path, sizeof address.sun_path - 1);
  ::unlink(socket_path_.c_str());
  listener_ =
      io::FileDescriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  mode_t old_mask = ::umask(0077);
  int result = ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int error = errno;
  ::umask(old_mask);
  if (result < 0) return failure(error, "bind " + socket_path_);
  if (::listen(listener_.get(), 8) < 0) return failure(errno, "listen on " + socket_path_);
  return {};
}

void Keeper::run(int stop_fd) {
  while (!may_end()) turn(stop_fd);
  ::unlink(socket_path_.c_str());
}

void Keeper::turn(int stop_fd) {
  std::array<pollfd, 4> fds{{{listener_.get(), POLLIN, 0},
                             {jobs_.wake_fd(), POLLIN, 0},
                             {stopping_since_ ? -1 : stop_fd, POLLIN, 0},
                             {-1, POLLIN, 0}}};
  if (client_) {
    fds[3].fd = client_->socket.get();
    if (!client_->outgoing.empty()) fds[3].events |= POLLOUT;
  }
  uint64_t polled_client = client_count_;
  ::poll(fds.data(), fds.size(), timeout_ms());
  pass_deadlines();
  if (fds[2].revents != 0) start_stopping();
  if (fds[1].revents != 0) jobs_.finish();
  if (fds[0].revents != 0) accept();
  if (client_ && polled_client == client_count_ && fds[3].revents != 0) {
    if ((fds[3].revents & POLLOUT) != 0) send_outgoing();
    if (client_ && (fds[3].revents & ~POLLOUT) != 0) receive();
  }
}

void Keeper::start_stopping() {
  LOG_INFO("keeper: stopping, {} devices to take down", devices_.held().size());
  stopping_since_ = Clock::now();
  devices_.destroy_all();
}

int Keeper::timeout_ms() const { return stopping_since_ ? 50 : -1; }

void Keeper::pass_deadlines() {
  if (!stopping_since_ || was_forced_ || Clock::now() - *stopping_since_ < kGentleTime) return;
  was_forced_ = true;
  devices_.force_all();
}

bool Keeper::may_end() const {
  if (!stopping_since_) return false;
  return devices_.held().empty() || Clock::now() - *stopping_since_ > kStopTime;
}

// ---- the client

void Keeper::accept() {
  io::FileDescriptor socket(
      ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) return;
  Peer peer = peer_of(socket.get());
  if (peer.uid != 0 && peer.uid != ::geteuid()) {
    LOG_WARN("keeper: a client of user {} was refused", peer.uid);
    return;
  }
  if (client_) drop_client("a newer one took its place");
  LOG_INFO("keeper: cleatd with pid {} is here", peer.pid);
  client_.emplace();
  client_->socket = std::move(socket);
  client_->peer = std::move(peer);
  client_->number = ++client_count_;
}

void Keeper::drop_client(const char* why) {
  LOG_INFO("keeper: cleatd with pid {} is gone: {}", client_->peer.pid, why);
  predecessors_.add(std::move(client_->peer));
  client_.reset();
}

void Keeper::receive() {
  Request request;
  Packet packet(&request, sizeof request);
  ssize_t got = ::recvmsg(client_->socket.get(), &packet.header(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // Nobody sends descriptors here: taken, so that they are closed.
  io::FileDescriptor unwanted = packet.take_descriptor();
  if (got <= 0) return drop_client("it closed the connection");
  if (got != sizeof request || request.magic != kMagic || request.request_id == 0) {
    return drop_client("it sent something that is no request");
  }
  handle(request);
}

void Keeper::push(const Reply& reply, int fd) {
  if (client_->outgoing.size() >= kOutgoingMax) return drop_client("it does not read its answers");
  client_->outgoing.push_back(
      {reply, io::FileDescriptor(fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 0))});
  send_outgoing();
}

void Keeper::send_outgoing() {
  while (!client_->outgoing.empty()) {
    Outgoing& next = client_->outgoing.front();
    Packet packet(&next.reply, sizeof next.reply, next.fd.get());
    if (!next.fd.valid()) packet.header().msg_controllen = 0;
    if (::sendmsg(client_->socket.get(), &packet.header(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      // A client that is gone is seen by receive().
      if (errno != EAGAIN && errno != EINTR) client_->outgoing.clear();
      return;
    }
    client_->outgoing.pop_front();
  }
}

// ---- requests

void Keeper::handle(const Request& request) {
  if (refuse(request)) return;
  switch (static_cast<RequestType>(request.type)) {
    case RequestType::kHello: return hello(request);
    case RequestType::kCreate: return create(request);
    case RequestType::kList: return list(request);
    case RequestType::kResize:
      return devices_.resize(request.volume_id, request.size_bytes, answer_to(request));
    case RequestType::kDestroy:
      return devices_.destroy(request.volume_id, (request.flags & kFlagForce) != 0,
                              answer_to(request));
  }
  answer(request, failure(EOPNOTSUPP, "this keeper does not know that request, is it too old?"));
}

bool Keeper::refuse(const Request& request) {
  if (request.version != kVersion) {
    answer(request, failure(EPROTONOSUPPORT, "this keeper speaks another version of the protocol"));
    return true;
  }
  if (stopping_since_) {
    answer(request, failure(ESHUTDOWN, "the keeper is stopping"));
    return true;
  }
  int living = predecessors_.find_living(client_->peer.pid);
  if (living != 0 && static_cast<RequestType>(request.type) != RequestType::kHello) {
    answer(request,
           failure(EAGAIN, "an earlier cleatd has not ended, pid " + std::to_string(living)));
    return true;
  }
  return false;
}

void Keeper::hello(const Request& request) { answer(request, -1); }

void Keeper::create(const Request& request) {
  if (request.volume_id == 0 || request.size_bytes == 0 || request.size_bytes % 4096 != 0) {
    return answer(request,
                  failure(EINVAL, "a device has an id, and a size in blocks of 4096 bytes"));
  }
  Devices::Volume volume{request.volume_id, get_text(request.name), request.size_bytes};
  Outcome<int> connection = devices_.create(volume, answer_to(request));
  if (!connection) return answer(request, connection);
  if (*connection < 0) return;
  push(reply_to(request, ReplyType::kConnection), *connection);
}

void Keeper::list(const Request& request) {
  for (const Device* device : devices_.held()) {
    if (!client_) return;
    Reply reply = reply_to(request, ReplyType::kVolume);
    reply.volume_id = device->volume_id;
    reply.size_bytes = device->size_bytes;
    reply.state = static_cast<uint32_t>(device->state);
    reply.loop_index = device->loop.index;
    set_text(reply.name, device->name);
    push(reply, device->connection.get());
  }
  if (client_) answer(request, -1);
}

// A client that has gone by then gets no answer; its successor asks again.
Devices::Done Keeper::answer_to(const Request& request) {
  return [this, request, number = client_->number](const Outcome<int>& result) {
    if (client_ && client_->number == number) answer(request, result);
  };
}

void Keeper::answer(const Request& request, const Outcome<int>& result) {
  Reply reply = reply_to(request, ReplyType::kDone);
  if (result) {
    reply.loop_index = *result;
  } else {
    reply.error = result.error().error;
    set_text(reply.message, result.error().message);
  }
  push(reply);
}

}  // namespace cleat::keeper
