// Two streams connected in memory, and a network of them, with what can go wrong on a way: a full
// window, bytes that arrive one by one, are damaged, or stop in the middle, and resets.
//
// Threading: one loop. Ownership: the two ends share what is between them.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "io/stream.h"
#include "io/sync.h"

namespace cleat::wire::testing {

// One direction: a ring of bytes.
struct MemoryPipe {
  static constexpr size_t kRingBytes = 256 * 1024;

  explicit MemoryPipe(io::Executor& executor) : changed(executor) {}

  io::WaitQueue changed;
  std::unique_ptr<std::byte[]> ring{new std::byte[kRingBytes]};
  size_t begin = 0;
  size_t unread = 0;
  size_t window = kRingBytes;    // a writer waits while this many bytes are unread
  size_t read_max = kRingBytes;  // of one read_some
  uint64_t written = 0;
  uint64_t writes = 0;  // calls of write_all
  bool held = false;    // what was written does not arrive
  bool closed = false;  // by either end
  bool reset = false;
  std::function<void(uint64_t offset, std::byte& byte)> damage;  // sees every byte that is written

  // As many of the bytes as the window takes.
  size_t put(ConstBuffer bytes) {
    size_t size = std::min(bytes.size(), window > unread ? window - unread : 0);
    for (size_t i = 0; i < size;) {
      size_t at = (begin + unread) % kRingBytes;
      size_t run = std::min(size - i, kRingBytes - at);
      std::memcpy(ring.get() + at, bytes.data() + i, run);
      for (size_t j = 0; damage && j < run; ++j) damage(written + j, ring[at + j]);
      i += run;
      unread += run;
      written += run;
    }
    return size;
  }
  size_t get(MutableBuffer into) {
    size_t size = std::min({into.size(), unread, read_max, kRingBytes - begin});
    std::memcpy(into.data(), ring.get() + begin, size);
    begin = (begin + size) % kRingBytes;
    unread -= size;
    return size;
  }
};

class MemoryStream : public io::Stream {
 public:
  MemoryStream(std::shared_ptr<MemoryPipe> in, std::shared_ptr<MemoryPipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~MemoryStream() override { shutdown(); }

  io::Task<Result<size_t>> read_some(MutableBuffer into) override {
    const std::shared_ptr<MemoryPipe> in = in_;
    while ((in->unread == 0 || in->held) && !in->closed && !in->reset) co_await in->changed.wait();
    if (in->reset) co_return fail(Code::kUnreachable, "reset");
    if (shut_ || in->unread == 0) co_return fail(Code::kClosed, "end of stream");
    size_t size = in->get(into);
    in->changed.notify_all();
    co_return size;
  }

  io::Task<Result<void>> write_all(std::span<const ConstBuffer> parts) override {
    const std::shared_ptr<MemoryPipe> out = out_;
    ++out->writes;
    for (ConstBuffer part : parts) {
      while (!part.empty()) {
        if (out->reset) co_return fail(Code::kUnreachable, "reset");
        if (out->closed)
          co_return fail(shut_ ? Code::kClosed : Code::kUnreachable, "end of stream");
        size_t size = out->put(part);
        part = part.subspan(size);
        out->changed.notify_all();
        if (!part.empty()) co_await out->changed.wait();
      }
    }
    co_return Result<void>{};
  }

  void shutdown() override {
    shut_ = true;
    for (const auto& pipe : {in_, out_}) {
      pipe->closed = true;
      pipe->changed.notify_all();
    }
  }

  // Both ends see a reset; what was on its way is lost.
  void reset() {
    for (const auto& pipe : {in_, out_}) {
      pipe->reset = true;
      pipe->changed.notify_all();
    }
  }

  MemoryPipe& in() { return *in_; }
  MemoryPipe& out() { return *out_; }

 private:
  std::shared_ptr<MemoryPipe> in_;
  std::shared_ptr<MemoryPipe> out_;
  bool shut_ = false;
};

using MemoryStreamPair = std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>>;

inline MemoryStreamPair make_memory_streams(io::Executor& executor) {
  auto there = std::make_shared<MemoryPipe>(executor);
  auto back = std::make_shared<MemoryPipe>(executor);
  return {std::make_unique<MemoryStream>(back, there), std::make_unique<MemoryStream>(there, back)};
}

// Listeners by address. connect() reaches one at once, or fails with kUnreachable.
class MemoryNetwork : public io::Network {
 public:
  explicit MemoryNetwork(io::Executor& executor) : executor_(executor) {}

  io::Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address to, Duration timeout) override {
    ++connects;
    if (hang) {
      co_await executor_.sleep(timeout);
      co_return fail(Code::kTimedOut, "connect");
    }
    auto it = listeners_.find(to.text);
    if (it == listeners_.end()) co_return fail(Code::kUnreachable, "connection refused");
    MemoryStreamPair pair = make_memory_streams(executor_);
    newest = pair.first.get();
    it->second->offer(std::move(pair.second));
    co_return std::unique_ptr<io::Stream>(std::move(pair.first));
  }

  io::Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address at) override {
    if (listeners_.contains(at.text)) co_return fail(Code::kBusy, "address in use");
    auto listener = std::make_unique<MemoryListener>(*this, at.text);
    listeners_[at.text] = listener.get();
    co_return std::unique_ptr<io::Listener>(std::move(listener));
  }

  uint64_t connects = 0;
  bool hang = false;               // connections are neither made nor refused
  MemoryStream* newest = nullptr;  // the dialling end of the last connection

 private:
  class MemoryListener : public io::Listener {
   public:
    MemoryListener(MemoryNetwork& network, std::string address)
        : network_(network), address_(std::move(address)), changed_(network.executor_) {}
    ~MemoryListener() override { close(); }

    io::Task<Result<std::unique_ptr<io::Stream>>> accept() override {
      while (offered_.empty() && !closed_) co_await changed_.wait();
      if (closed_) co_return fail(Code::kClosed, "listener");
      std::unique_ptr<io::Stream> stream = std::move(offered_.front());
      offered_.pop_front();
      co_return stream;
    }
    void close() override {
      if (std::exchange(closed_, true)) return;
      network_.listeners_.erase(address_);
      offered_.clear();
      changed_.notify_all();
    }
    void offer(std::unique_ptr<io::Stream> stream) {
      offered_.push_back(std::move(stream));
      changed_.notify_all();
    }

   private:
    MemoryNetwork& network_;
    std::string address_;
    io::WaitQueue changed_;
    std::deque<std::unique_ptr<io::Stream>> offered_;
    bool closed_ = false;
  };

  io::Executor& executor_;
  std::map<std::string, MemoryListener*> listeners_;
};

}  // namespace cleat::wire::testing
