// Receives frames from one stream. Reads large pieces into a buffer of its own and copies small
// payloads out of it (cheaper than a receive each); the rest of a large payload is received where
// it belongs.
//
// Threading: one loop, one caller. Ownership: borrows the stream.
#pragma once

#include "common/buffer.h"
#include "io/stream.h"
#include "wire/messages.h"

namespace cleat::wire {

class FrameReader {
 public:
  // Frames of another version than the negotiated one are refused.
  FrameReader(io::Stream& stream, uint16_t version);

  // The next frame's header. kClosed when the stream ends between two frames, kUnreachable inside
  // of one or at a reset, the errors of decode(), kUnsupported for another version. After an error:
  // nothing more.
  io::Task<Result<Header>> header();
  // The payload of the frame whose header came last, into the first payload_bytes of `into`, which
  // must stay alive until this returns. kCorrupt when it fails its checksum.
  io::Task<Result<void>> payload(const Header& header, MutableBuffer into);
  // Reads past the payload, its checksum checked too.
  io::Task<Result<void>> skip(const Header& header);

 private:
  io::Task<Result<void>> fill();
  size_t take(MutableBuffer into);
  size_t buffered() const { return end_ - begin_; }

  io::Stream& stream_;
  const uint16_t version_;
  AlignedBuffer buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  // After a large payload the next receive is short, so that little of the next large one needs
  // copying.
  bool large_ = false;
};

}  // namespace cleat::wire
