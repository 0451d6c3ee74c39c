#include "control/etcd_watch.h"

#include <algorithm>

#include "api/etcd.grpc.pb.h"
#include "control/grpc_channel.h"

namespace cleat::control {
namespace {
namespace pb = etcdserverpb;
constexpr Duration kPauseAfterFailure = 200ms;
constexpr Duration kConnectTime = 1s;
}  // namespace

std::string prefix_end(std::string prefix) {
  while (!prefix.empty()) {
    auto last = static_cast<unsigned char>(prefix.back());
    if (last != 0xff) {
      prefix.back() = static_cast<char>(last + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return std::string(1, '\0');  // etcd's word for "to the end"
}

EtcdWatch::EtcdWatch(EtcdClient& client, std::string prefix, Revision after, WatchCallback callback)
    : client_(client),
      prefix_(std::move(prefix)),
      callback_(std::move(callback)),
      next_revision_(after.value + 1),
      thread_([this] { run(); }) {}

EtcdWatch::~EtcdWatch() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  wake_.notify_all();
  thread_.join();
}

void EtcdWatch::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    stream_events();
    lock.lock();
    if (!stopping_) wake_.wait_for(lock, kPauseAfterFailure);
  }
}

void EtcdWatch::stream_events() {
  grpc::ClientContext context;
  // Without it a member that lost its quorum keeps a silent watch open for ever.
  context.AddMetadata("hasleader", "true");
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    context_ = &context;
  }
  auto endpoint = client_.current();
  connect_now(*endpoint.channel, kConnectTime);
  auto stub = pb::Watch::NewStub(endpoint.channel);
  auto stream = stub->Watch(&context);
  pb::WatchRequest request;
  auto* create = request.mutable_create_request();
  create->set_key(prefix_);
  create->set_range_end(prefix_end(prefix_));
  create->set_start_revision(next_revision_);
  pb::WatchResponse response;
  bool usable = stream->Write(request);
  while (usable && stream->Read(&response)) {
    if (response.canceled()) {
      if (response.compact_revision() == 0) break;
      next_revision_ = std::max(response.compact_revision(), response.header().revision()) + 1;
      callback_({});
      break;
    }
    std::vector<WatchEvent> events;
    for (auto& event : *response.mutable_events()) {
      WatchEvent out{std::move(*event.mutable_kv()->mutable_key()), std::nullopt,
                     Revision{event.kv().mod_revision()}};
      if (event.type() == pb::Event::PUT)
        out.value = std::move(*event.mutable_kv()->mutable_value());
      next_revision_ = std::max(next_revision_, out.revision.value + 1);
      events.push_back(std::move(out));
    }
    if (!events.empty()) callback_(events);
  }
  context.TryCancel();
  stream->Finish();
  client_.failed(endpoint.index);
  std::lock_guard lock(mutex_);
  context_ = nullptr;
}

}  // namespace cleat::control
