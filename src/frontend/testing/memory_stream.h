// Two ends of a byte stream in memory, for tests without sockets. Reads give pieces of random
// length.
//
// Threading: one loop. Both ends hang up when either is shut down.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "common/random.h"
#include "io/stream.h"
#include "io/sync.h"

namespace cleat::frontend {

class MemoryStream final : public io::Stream {
 public:
  using Pair = std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>>;

  static Pair make_pair(io::Executor& executor, size_t piece_bytes_max, uint64_t seed) {
    auto there = std::make_shared<Pipe>(executor);
    auto back = std::make_shared<Pipe>(executor);
    std::unique_ptr<MemoryStream> left(new MemoryStream(there, back, piece_bytes_max, seed));
    std::unique_ptr<MemoryStream> right(new MemoryStream(back, there, piece_bytes_max, seed + 1));
    return {std::move(left), std::move(right)};
  }

  io::Task<Result<size_t>> read_some(MutableBuffer into) override {
    while (in_->bytes.empty() && !in_->is_closed) co_await in_->changed.wait();
    if (in_->bytes.empty()) co_return fail(Code::kClosed, "end of stream");
    size_t most = std::min({into.size(), in_->bytes.size(), piece_bytes_max_});
    size_t count = random_.between(1, most);
    std::copy_n(in_->bytes.begin(), count, into.data());
    in_->bytes.erase(in_->bytes.begin(), in_->bytes.begin() + static_cast<ptrdiff_t>(count));
    co_return count;
  }

  io::Task<Result<void>> write_all(std::span<const ConstBuffer> parts) override {
    CHECK(parts.size() <= 64, "write_all takes at most 64 parts");
    if (out_->is_closed) co_return fail(Code::kUnreachable, "the other end hung up");
    for (ConstBuffer part : parts) out_->bytes.insert(out_->bytes.end(), part.begin(), part.end());
    out_->changed.notify_all();
    co_return Result<void>{};
  }

  void shutdown() override {
    for (Pipe* pipe : {in_.get(), out_.get()}) {
      pipe->is_closed = true;
      pipe->changed.notify_all();
    }
  }

 private:
  struct Pipe {
    explicit Pipe(io::Executor& executor) : changed(executor) {}
    std::deque<std::byte> bytes;
    bool is_closed = false;
    io::WaitQueue changed;
  };

  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, size_t piece_bytes_max,
               uint64_t seed)
      : in_(std::move(in)),
        out_(std::move(out)),
        piece_bytes_max_(piece_bytes_max),
        random_(seed) {}

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  size_t piece_bytes_max_;
  Random random_;
};

}  // namespace cleat::frontend
