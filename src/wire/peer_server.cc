#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/log.h"
#include "wire/peer_connection.h"

namespace cleat::wire {

static_assert(kPayloadBytesMax <= io::BufferPool::kBytesMax,
              "any payload fits into a pooled buffer");

// One connection after its handshake. Lives in the frame of serve().
class PeerServer::Connection {
 public:
  Connection(PeerServer& server, io::Stream& stream, const Session& session)
      : server_(server),
        stream_(stream),
        session_(session),
        sender_(server.executor_, stream),
        reader_(stream, session.version),
        room_(server.executor_) {}

  io::Task<Error> run() {
    group_.spawn(send_replies());
    Result<void> received;
    while (received) {
      auto receiving = receive();
      received = co_await std::move(receiving);
    }
    sender_.stop();
    stream_.shutdown();
    co_await group_.close();
    co_return received.error();
  }

 private:
  io::Task<void> send_replies() {
    auto sending = sender_.run();
    Result<void> sent = co_await std::move(sending);
    if (!sent) stream_.shutdown();
  }

  // One request: from the stream to its handler.
  io::Task<Result<void>> receive() {
    auto receiving = reader_.header();
    Result<Header> header = co_await std::move(receiving);
    if (!header) co_return fail(header.error());
    CO_TRY(check_request(*header));
    while (!has_room(header->payload_bytes)) co_await room_.wait();
    Message request(session_.peer, *header, {});
    if (header->payload_bytes != 0) {
      request.buffer = server_.buffers_.take(header->payload_bytes);
      auto filling = reader_.payload(*header, request.buffer.span());
      Result<void> filled = co_await std::move(filling);
      if (!filled) co_return filled;
    }
    ++requests_;
    request_bytes_ += header->payload_bytes;
    group_.spawn(answer(std::move(request)));
    co_return Result<void>{};
  }

  Result<void> check_request(const Header& header) {
    if (header.is_reply()) return fail(Code::kCorrupt, "reply where a request was due");
    if (header.request_id <= last_id_) {
      return fail(Code::kCorrupt, "request that is not newer than the one before it");
    }
    last_id_ = header.request_id;
    return {};
  }

  // A single request always has room.
  bool has_room(uint32_t payload_bytes) const {
    if (requests_ == 0) return true;
    return requests_ < kRequestsInFlightMax &&
           request_bytes_ + payload_bytes <= kRequestBytesInFlightMax;
  }

  io::Task<void> answer(Message request) {
    const Header asked = request.header;
    auto handling = server_.handler_.handle(std::move(request));
    Reply reply = co_await std::move(handling);
    CHECK(reply.payload_bytes <= reply.buffer.size(), "a reply's payload is in its buffer");
    ConstBuffer payload = reply.buffer.span().first(reply.payload_bytes);
    OutFrame frame;
    frame.payload = std::span<const ConstBuffer>(&payload, payload.empty() ? 0 : 1);
    frame.header = encode(complete(reply, asked, frame.payload));
    sender_.push(frame);
    co_await sender_.left(frame);
    --requests_;
    request_bytes_ -= asked.payload_bytes;
    room_.notify_one();
  }

  Header complete(const Reply& reply, const Header& asked,
                  std::span<const ConstBuffer> payload) const {
    Header header = reply.header;
    header.version = session_.version;
    header.type = asked.type;
    header.flags |= kReply;
    header.request_id = asked.request_id;
    header.volume = asked.volume;
    header.payload_bytes = reply.payload_bytes;
    header.payload_crc = payload_crc(payload);
    return header;
  }

  PeerServer& server_;
  io::Stream& stream_;
  const Session& session_;
  FrameSender sender_;
  FrameReader reader_;
  io::TaskGroup group_;
  io::WaitQueue room_;
  uint64_t last_id_ = 0;
  uint32_t requests_ = 0;
  size_t request_bytes_ = 0;
};

PeerServer::PeerServer(io::Executor& executor, io::BufferPool& buffers, const Identity& identity,
                       RequestHandler& handler)
    : executor_(executor), buffers_(buffers), identity_(identity), handler_(handler) {}

PeerServer::~PeerServer() { CHECK(connections_.empty(), "a server is closed before it dies"); }

io::Task<Result<void>> PeerServer::listen(io::Listener& listener) {
  while (true) {
    auto accepting = listener.accept();
    Result<std::unique_ptr<io::Stream>> stream = co_await std::move(accepting);
    if (!stream && stream.error().code == Code::kClosed) co_return fail(stream.error());
    if (!stream) {
      LOG_WARN("a connection of a peer was not accepted: {}", to_string(stream.error()));
      co_await executor_.sleep(10ms);  // out of descriptors, perhaps: don't spin
      continue;
    }
    group_.spawn(serve(std::move(*stream)));
  }
}

io::Task<void> PeerServer::serve(std::unique_ptr<io::Stream> stream) {
  if (closing_ || connections_.size() >= kConnectionsMax) {
    if (!closing_) LOG_WARN("a connection of a peer was refused: {} are open", kConnectionsMax);
    stream->shutdown();
    co_return;
  }
  connections_.push_back(stream.get());
  auto shaking = handshake_as_server(executor_, *stream, identity_, kHandshakeTimeout);
  HandshakeResult<Session> session = co_await std::move(shaking);
  if (!session) {
    LOG_WARN("a connection to this node was refused: {}", session.error().text);
  } else {
    Connection connection(*this, *stream, *session);
    auto running = connection.run();
    Error end = co_await std::move(running);
    if (end.code == Code::kCorrupt || end.code == Code::kUnsupported || end.code == Code::kLimit) {
      LOG_ERROR("connection of node {} ended: it sent what is no valid frame: {}",
                session->peer_name, to_string(end));
    } else {
      LOG_INFO("connection of node {} ended: {}", session->peer_name, to_string(end));
    }
  }
  std::erase(connections_, stream.get());
}

io::Task<void> PeerServer::close() {
  closing_ = true;
  for (io::Stream* stream : connections_) stream->shutdown();
  co_await group_.close();
}

}  // namespace cleat::wire
