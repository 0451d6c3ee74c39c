#include "frontend/fuse/keeper_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "keeper/descriptor_passing.h"

namespace cleat::fuse {

using io::FileDescriptor;
using io::Task;
using keeper::Reply;
using keeper::ReplyType;
using keeper::Request;
using keeper::RequestType;

namespace {

constexpr Duration kListRetry = 10ms;

Code code_of(int error) {
  switch (error) {
    case EBUSY:
    case EAGAIN: return Code::kBusy;
    case ENOENT: return Code::kNotFound;
    case EEXIST: return Code::kAlreadyExists;
    case EINVAL: return Code::kInvalidArgument;
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
    case ENODEV: return Code::kUnsupported;
    case EPERM:
    case EACCES: return Code::kPermission;
    case ESHUTDOWN: return Code::kUnreachable;
  }
  return Code::kIoError;
}

std::string path_of(int32_t loop_index) {
  return loop_index < 0 ? "" : "/dev/loop" + std::to_string(loop_index);
}

}  // namespace

// A request whose answer has not come. Lives in the frame of its caller.
struct KeeperClient::Call {
  explicit Call(io::Executor& executor) : ended(executor) {}

  uint64_t request_id = 0;
  bool ends_at_connection = false;
  Result<void> result;
  int32_t loop_index = -1;
  FileDescriptor connection;
  std::vector<HeldDevice> devices;
  io::Event ended;
};

Result<std::unique_ptr<KeeperClient>> KeeperClient::connect(io::EventLoop& loop,
                                                            const std::string& run_dir) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = run_dir + "/" + keeper::kSocketName;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Code::kInvalidArgument, "the run directory's path is too long for a socket");
  }
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  FileDescriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail(Code::kLimit, "cannot make a socket", errno);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return fail(Code::kUnreachable, "no cleat-keeper listens in the run directory: start it first",
                errno);
  }
  return std::unique_ptr<KeeperClient>(new KeeperClient(loop, std::move(socket)));
}

KeeperClient::KeeperClient(io::EventLoop& loop, FileDescriptor socket)
    : loop_(loop), socket_(std::move(socket)), lost_(loop) {
  receiving_.spawn(receive());
}

KeeperClient::~KeeperClient() = default;

Task<void> KeeperClient::close() {
  ::shutdown(socket_.get(), SHUT_RDWR);
  co_await receiving_.close();
}

// ---- packets

Task<void> KeeperClient::receive() {
  io::UringOperation operation(loop_);
  for (;;) {
    Reply reply;
    keeper::Packet packet(&reply, sizeof reply);
    io_uring_prep_recvmsg(&operation.sqe(), socket_.get(), &packet.header(), MSG_CMSG_CLOEXEC);
    int result = co_await operation;
    FileDescriptor descriptor;
    if (result > 0) descriptor = packet.take_descriptor();
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result != sizeof reply || reply.magic != keeper::kMagic) break;
    dispatch(reply, std::move(descriptor));
  }
  lose();
}

void KeeperClient::dispatch(const Reply& reply, FileDescriptor descriptor) {
  auto found = std::find_if(calls_.begin(), calls_.end(),
                            [&](const Call* call) { return call->request_id == reply.request_id; });
  if (found == calls_.end()) return;
  Call& call = **found;
  switch (static_cast<ReplyType>(reply.type)) {
    case ReplyType::kConnection:
      call.connection = std::move(descriptor);
      if (!call.ends_at_connection) return;
      break;
    case ReplyType::kVolume:
      call.devices.push_back({VolumeId(reply.volume_id), keeper::get_text(reply.name),
                              reply.size_bytes, static_cast<keeper::DeviceState>(reply.state),
                              path_of(reply.loop_index), std::move(descriptor)});
      return;
    case ReplyType::kDone:
      call.loop_index = reply.loop_index;
      if (reply.error != 0) {
        message_ = keeper::get_text(reply.message);
        call.result = fail(code_of(reply.error), "the keeper refused", reply.error);
      }
      break;
    default: return;  // of a newer keeper
  }
  calls_.erase(found);
  call.ended.set();
}

void KeeperClient::lose() {
  is_lost_ = true;
  for (Call* call : calls_) {
    call->result = fail(Code::kUnreachable, "cleat-keeper is gone");
    call->ended.set();
  }
  calls_.clear();
  lost_.set();
}

Task<Result<void>> KeeperClient::call(Call& call, Request request) {
  if (is_lost_) co_return fail(Code::kUnreachable, "cleat-keeper is gone");
  request.request_id = call.request_id = ++request_count_;
  calls_.push_back(&call);
  io::UringOperation operation(loop_);
  io_uring_prep_send(&operation.sqe(), socket_.get(), &request, sizeof request, MSG_NOSIGNAL);
  int sent = co_await operation;
  if (sent != sizeof request) {
    std::erase(calls_, &call);
    co_return fail(Code::kUnreachable, "cleat-keeper is gone", sent < 0 ? -sent : 0);
  }
  co_await call.ended.wait();
  co_return call.result;
}

// ---- calls

Request KeeperClient::request_of(RequestType type, VolumeId volume) {
  Request request;
  request.type = static_cast<uint16_t>(type);
  request.volume_id = volume.value;
  return request;
}

Task<Result<FileDescriptor>> KeeperClient::create(VolumeId volume, std::string name,
                                                  uint64_t size_bytes) {
  Request request = request_of(RequestType::kCreate, volume);
  request.size_bytes = size_bytes;
  keeper::set_text(request.name, name);
  Call call(loop_);
  call.ends_at_connection = true;
  CO_TRY(co_await this->call(call, request));
  co_return std::move(call.connection);
}

Task<Result<std::string>> KeeperClient::device_path(VolumeId volume, uint64_t size_bytes) {
  Request request = request_of(RequestType::kCreate, volume);
  request.size_bytes = size_bytes;
  Call call(loop_);
  call.ends_at_connection = true;
  CO_TRY(co_await this->call(call, request));
  if (call.connection.valid()) {  // of a new one, since the keeper had none any more
    CO_TRY(co_await destroy(volume, true));
    co_return fail(Code::kNotFound, "the device is gone");
  }
  co_return path_of(call.loop_index);
}

Task<Result<std::vector<HeldDevice>>> KeeperClient::list(Duration patience) {
  TimePoint give_up = loop_.now() + patience;
  for (;;) {
    Result<std::vector<HeldDevice>> devices = co_await list_once();
    bool is_early = !devices && devices.error().code == Code::kBusy && loop_.now() < give_up;
    if (!is_early) co_return std::move(devices);
    co_await loop_.sleep(kListRetry);
  }
}

Task<Result<std::vector<HeldDevice>>> KeeperClient::list_once() {
  Call call(loop_);
  Request request = request_of(RequestType::kList, VolumeId());
  CO_TRY(co_await this->call(call, request));
  co_return std::move(call.devices);
}

Task<Result<void>> KeeperClient::resize(VolumeId volume, uint64_t size_bytes) {
  Request request = request_of(RequestType::kResize, volume);
  request.size_bytes = size_bytes;
  Call call(loop_);
  CO_TRY(co_await this->call(call, request));
  co_return Result<void>{};
}

Task<Result<void>> KeeperClient::destroy(VolumeId volume, bool is_forced) {
  Request request = request_of(RequestType::kDestroy, volume);
  if (is_forced) request.flags = keeper::kFlagForce;
  Call call(loop_);
  CO_TRY(co_await this->call(call, request));
  co_return Result<void>{};
}

}  // namespace cleat::fuse
