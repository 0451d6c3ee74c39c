// Identities and a handler for tests of connections.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "io/executor.h"
#include "io/sync.h"
#include "wire/handshake.h"
#include "wire/request_handler.h"

namespace cleat::wire::testing {

inline Identity identity(uint64_t node) {
  Identity identity;
  identity.cluster = "berlin";
  identity.node = NodeId(node);
  identity.name = fmt::format("n{}", node);
  identity.secret = "0123456789abcdef";
  return identity;
}

inline std::byte pattern(uint64_t block, size_t at) {
  return static_cast<std::byte>((block * 131 + at * 7 + at / 251) & 0xff);
}
inline void fill_pattern(BlockRange range, MutableBuffer into) {
  for (size_t i = 0; i < into.size(); ++i) into[i] = pattern(range.first, i);
}
inline bool is_pattern(BlockRange range, ConstBuffer bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != pattern(range.first, i)) return false;
  }
  return bytes.size() == range.bytes();
}

// A write must carry the pattern of its range; a read is answered with it; request.seq is the delay
// in microseconds; a fence is refused; a digest waits until `gate` is opened.
class PatternHandler : public RequestHandler {
 public:
  PatternHandler(io::Executor& executor, io::BufferPool& buffers)
      : gate(executor), executor_(executor), buffers_(buffers) {}

  io::Task<Reply> handle(Message request) override {
    const Header header = request.header;
    ids.push_back(header.request_id);
    if (header.type == Type::kWrite && !is_pattern(header.range, request.payload())) ++bad_payloads;
    ++running;
    running_max = std::max(running_max, running);
    uint64_t delay_us = std::min(header.seq.value, kDelayMaxUs);
    if (delay_us != 0) co_await executor_.sleep(std::chrono::microseconds(delay_us));
    if (header.type == Type::kDigest) co_await gate.wait();
    --running;
    ++answered;
    co_return answer(header);
  }

  io::Event gate;
  std::vector<uint64_t> ids;  // in the order of arrival
  uint64_t answered = 0;
  uint64_t bad_payloads = 0;
  size_t running = 0;
  size_t running_max = 0;
  int32_t wrong_bytes = 0;  // a reply to a read is longer by this than asked for

 private:
  static constexpr uint64_t kDelayMaxUs = 10'000'000;

  Reply answer(const Header& header) {
    if (header.type == Type::kFence) {
      Reply refused = Reply::failed(Error{Code::kStaleEpoch});
      refused.header.epoch = header.epoch.next();
      return refused;
    }
    Header reply;
    reply.seq = header.seq;
    if (header.type != Type::kRead || header.range.count == 0) return Reply(reply);
    if (header.range.bytes() > kPayloadBytesMax) return Reply::failed(Error{Code::kLimit});
    auto size = static_cast<uint32_t>(static_cast<int64_t>(header.range.bytes()) + wrong_bytes);
    io::PooledBuffer buffer = buffers_.take(size);
    fill_pattern(header.range, buffer.span());
    return Reply(reply, std::move(buffer), size);
  }

  io::Executor& executor_;
  io::BufferPool& buffers_;
};

inline Header request(Type type, BlockRange range = {}, uint64_t delay_us = 0) {
  Header header;
  header.type = type;
  header.volume = VolumeId(77);
  header.epoch = Epoch(3);
  header.range = range;
  header.seq = Seq(delay_us);
  return header;
}

}  // namespace cleat::wire::testing
