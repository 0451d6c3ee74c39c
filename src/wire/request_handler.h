// Port: what answers the requests that arrive from peers. engine::ReplicaService is the real one.
#pragma once

#include <utility>

#include "common/ids.h"
#include "io/buffer_pool.h"
#include "io/task.h"
#include "wire/messages.h"

namespace cleat::wire {

// One frame with its payload, as it was received and checked.
class Message {
 public:
  Message() = default;
  Message(NodeId sender, const Header& head, io::PooledBuffer bytes)
      : from(sender), header(head), buffer(std::move(bytes)) {}

  // Valid as long as the message.
  ConstBuffer payload() const { return ConstBuffer(buffer.data(), header.payload_bytes); }

  NodeId from;  // the node that proved at the handshake to be this one
  Header header;
  io::PooledBuffer buffer;  // aligned for direct I/O; at least header.payload_bytes
};

// What goes back. The server itself sets version, type, kReply, request_id and volume, and the
// payload's length and checksum.
class Reply {
 public:
  Reply() = default;
  explicit Reply(const Header& head) : header(head) {}
  Reply(const Header& head, io::PooledBuffer bytes, uint32_t size)
      : header(head), buffer(std::move(bytes)), payload_bytes(size) {}
  // The request failed; of the error only its code travels.
  static Reply failed(Error error) {
    Reply reply;
    reply.header.error = error.code;
    return reply;
  }

  Header header;
  io::PooledBuffer buffer;
  uint32_t payload_bytes = 0;  // of `buffer`, from its begin; at most kPayloadBytesMax
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Any number at once. Called in the order in which the requests of a connection arrived, and each
  // runs up to its first wait before the next is called; replies go out in the order in which they
  // are ready. The reply is dropped when the connection has ended meanwhile.
  virtual io::Task<Reply> handle(Message request) = 0;
};

}  // namespace cleat::wire
