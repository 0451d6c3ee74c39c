#include "engine/share_service.h"

#include "engine/block_device.h"

namespace cleat::engine {

io::Task<Result<wire::Header>> ShareService::call(NodeId sharer, const wire::Header& request,
                                                  ConstBuffer payload, MutableBuffer into) {
  auto found = volumes_.find(request.volume);
  if (found == volumes_.end()) {
    co_return fail(Code::kNotInSync, "this node is not the primary of the shared volume");
  }
  co_return co_await found->second->call(sharer, request, payload, into);
}

io::Task<wire::Reply> ShareService::handle(wire::Message request) {
  if (!wire::is_share(request.header.type)) return others_.handle(std::move(request));
  return answer(std::move(request));
}

io::Task<wire::Reply> ShareService::answer(wire::Message request) {
  wire::Reply reply;
  if (request.header.type == wire::Type::kShareRead) {
    if (request.header.range.count == 0 || request.header.range.count > kIoBlocksMax) {
      co_return wire::Reply::failed(Error{Code::kInvalidArgument});
    }
    reply.buffer = buffers_.take(request.header.range.bytes());
    reply.payload_bytes = static_cast<uint32_t>(request.header.range.bytes());
  }
  MutableBuffer into =
      reply.payload_bytes > 0 ? reply.buffer.span().first(reply.payload_bytes) : MutableBuffer{};
  auto done = co_await call(request.from, request.header, request.payload(), into);
  if (!done) co_return wire::Reply::failed(done.error());
  reply.header = *done;
  co_return reply;
}

}  // namespace cleat::engine
