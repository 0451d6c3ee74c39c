#include "wire/frame_reader.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "common/crc32c.h"

namespace cleat::wire {
namespace {

constexpr size_t kBufferBytes = 128 * kKiB;
constexpr size_t kShortReceiveBytes = 4 * kKiB;
constexpr size_t kDirectBytes =
    16 * kKiB;  // what is missing of a payload is received in place from here on

}  // namespace

FrameReader::FrameReader(io::Stream& stream, uint16_t version)
    : stream_(stream), version_(version), buffer_(kBufferBytes) {}

// Receives at least one byte into the buffer. What it holds is less than a header or payload: at
// the front after this, there is always room.
io::Task<Result<void>> FrameReader::fill() {
  if (begin_ != 0) {
    if (buffered() != 0) std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
    end_ -= begin_;
    begin_ = 0;
  }
  size_t size = buffer_.size() - end_;
  if (large_) size = std::min(size, kShortReceiveBytes);
  auto receiving = stream_.read_some(buffer_.span().subspan(end_, size));
  Result<size_t> received = co_await std::move(receiving);
  if (!received) co_return fail(received.error());
  end_ += *received;
  co_return Result<void>{};
}

size_t FrameReader::take(MutableBuffer into) {
  size_t size = std::min(into.size(), buffered());
  if (size != 0) std::memcpy(into.data(), buffer_.data() + begin_, size);
  begin_ += size;
  return size;
}

io::Task<Result<Header>> FrameReader::header() {
  while (buffered() < kHeaderBytes) {
    auto filling = fill();
    Result<void> filled = co_await std::move(filling);
    if (filled) continue;
    if (buffered() != 0 && filled.error().code == Code::kClosed) {
      co_return fail(Code::kUnreachable, "connection ended inside a frame");
    }
    co_return fail(filled.error());
  }
  Result<Header> header = decode(ConstBuffer(buffer_.data() + begin_, kHeaderBytes));
  if (!header) co_return header;
  if (header->version != version_) {
    co_return fail(Code::kUnsupported, "frame of another version than the negotiated one");
  }
  begin_ += kHeaderBytes;
  co_return header;
}

io::Task<Result<void>> FrameReader::payload(const Header& header, MutableBuffer into) {
  CHECK(into.size() >= header.payload_bytes, "the caller made room for the payload");
  const uint32_t crc = header.payload_crc;
  MutableBuffer whole = into.first(header.payload_bytes);
  large_ = whole.size() >= kDirectBytes;
  size_t have = take(whole);
  while (have < whole.size()) {
    Result<void> received;
    if (whole.size() - have >= kDirectBytes) {
      auto receiving = stream_.read_some(whole.subspan(have));
      Result<size_t> size = co_await std::move(receiving);
      if (size) {
        have += *size;
      } else {
        received = fail(size.error());
      }
    } else {
      auto filling = fill();
      received = co_await std::move(filling);
      have += take(whole.subspan(have));
    }
    if (received) continue;
    if (received.error().code == Code::kClosed) {
      co_return fail(Code::kUnreachable, "connection ended inside a frame");
    }
    co_return received;
  }
  if (crc32c(whole.data(), whole.size()) != crc) {
    co_return fail(Code::kCorrupt, "frame payload fails its checksum");
  }
  co_return Result<void>{};
}

io::Task<Result<void>> FrameReader::skip(const Header& header) {
  size_t left = header.payload_bytes;
  uint32_t crc = 0;
  const uint32_t expected = header.payload_crc;
  while (left != 0) {
    if (buffered() == 0) {
      auto filling = fill();
      Result<void> filled = co_await std::move(filling);
      if (!filled && filled.error().code == Code::kClosed) {
        co_return fail(Code::kUnreachable, "connection ended inside a frame");
      }
      if (!filled) co_return filled;
    }
    size_t size = std::min(left, buffered());
    crc = crc32c(buffer_.data() + begin_, size, crc);
    begin_ += size;
    left -= size;
  }
  if (crc != expected) co_return fail(Code::kCorrupt, "frame payload fails its checksum");
  co_return Result<void>{};
}

}  // namespace cleat::wire
