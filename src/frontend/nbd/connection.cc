#include "frontend/nbd/connection.h"

#include <algorithm>
#include <array>

#include "frontend/error_table.h"

namespace cleat::nbd {

using engine::WriteFlags;
using frontend::ByteRange;
using io::PooledBuffer;
using io::Task;

namespace {

WriteFlags write_flags(const Request& request) {
  return request.is_fua() ? WriteFlags::kFua : WriteFlags::kNone;
}

uint32_t error_of(const Result<void>& result) {
  return result ? kErrorNone : frontend::nbd_error_of(result.error());
}

// The first part of a range that is served in parts: ends where a block ends, so that parts share
// none.
ByteRange first_part(ByteRange range) {
  uint64_t most = Connection::kPartBytesMax - range.skip();
  return {range.offset, std::min(range.length, most)};
}

ByteRange after(ByteRange range, ByteRange part) { return {part.end(), range.end() - part.end()}; }

bool fits_one_part(ByteRange range) {
  return range.skip() + range.length <= Connection::kPartBytesMax;
}

}  // namespace

Connection::Connection(io::Executor& executor, io::BufferPool& pool, ExportDirectory& directory,
                       std::unique_ptr<io::Stream> stream)
    : pool_(pool),
      directory_(directory),
      stream_(std::move(stream)),
      received_(pool, *stream_),
      replies_(executor, *stream_,
               [this](const Reply& reply) {
                 --requests_;
                 budget_used_ -= reply.charged_bytes;
                 room_.notify_one();
               }),
      room_(executor) {}

Task<Result<void>> Connection::run() {
  Result<Export*> volume = co_await negotiate();
  if (!volume) co_return fail(volume.error());
  if (*volume == nullptr) co_return Result<void>{};
  // The volume may have begun to close while the last answer was sent.
  if (!(*volume)->enter(this)) co_return fail(Code::kClosed, "the volume is being detached");
  Result<void> ending;
  co_await transmit(**volume, ending);
  (*volume)->leave(this);
  co_return ending;
}

// ---- handshake

Task<Result<Export*>> Connection::negotiate() {
  Negotiation negotiation(directory_);
  std::vector<std::byte> out = Negotiation::greeting();
  CO_TRY(co_await send(out));
  for (;;) {
    CO_TRY_ASSIGN(Negotiation::Step step, negotiation.consume(received_.bytes(), out));
    received_.take(step.consumed);
    CO_TRY(co_await send(out));
    if (step.has_ended) co_return negotiation.chosen();
    if (step.consumed == 0) CO_TRY(co_await received_.fill(received_.bytes().size() + 1));
  }
}

Task<Result<void>> Connection::send(std::vector<std::byte>& out) {
  if (out.empty()) co_return Result<void>{};
  std::array<ConstBuffer, 1> parts{out};
  CO_TRY(co_await stream_->write_all(parts));
  out.clear();
  co_return Result<void>{};
}

// ---- requests

Task<void> Connection::transmit(Export& volume, Result<void>& ending) {
  volume_ = &volume;
  io::TaskGroup sending;
  sending.spawn(replies_.run());
  ending = co_await take_requests();
  co_await serving_.close();
  replies_.close();
  co_await sending.close();
  stream_->shutdown();
}

Task<Result<void>> Connection::take_requests() {
  for (;;) {
    if (received_.bytes().size() < kRequestBytes) CO_TRY(co_await received_.fill(kRequestBytes));
    CO_TRY_ASSIGN(Request request, parse_request(received_.bytes().first<kRequestBytes>()));
    received_.take(kRequestBytes);
    if (request.is(Command::kDisconnect)) co_return Result<void>{};
    bool has_data = request.is(Command::kRead) || request.is(Command::kWrite);
    uint64_t charge = has_data ? std::min<uint64_t>(request.range.length, kPayloadBytesMax) : 0;
    if (!has_room(charge)) co_await wait_for_room(charge);
    ++requests_;
    budget_used_ += charge;
    uint32_t error =
        judge_request(request, {volume_->device().size_bytes(), volume_->is_read_only()});
    if (error != kErrorNone || (has_data && request.range.length == 0)) {
      CO_TRY(co_await received_.drop(request.payload_bytes()));
      answer(request, error, charge);
      continue;
    }
    if (!request.is(Command::kWrite)) {
      start(request, charge);
    } else if (fits_one_part(request.range)) {
      CO_TRY(co_await take_write(request, charge));
    } else {
      CO_TRY(co_await take_long_write(request, charge));
    }
  }
}

bool Connection::has_room(uint64_t charge) const {
  return requests_ < kRequestsMax && budget_used_ + charge <= kBudgetBytesMax;
}

Task<void> Connection::wait_for_room(uint64_t charge) {
  while (!has_room(charge)) co_await room_.wait();
}

void Connection::start(const Request& request, uint64_t charge) {
  if (!request.is(Command::kRead)) {
    serving_.spawn(serve_other(request, charge));
  } else if (fits_one_part(request.range)) {
    serving_.spawn(serve_read(request, charge));
  } else {
    serving_.spawn(serve_long_read(request, charge));
  }
}

Task<Result<void>> Connection::take_write(Request request, uint64_t charge) {
  PooledBuffer cover = pool_.take(request.range.cover().bytes());
  MutableBuffer payload = cover.span().subspan(request.range.skip(), request.range.length);
  CO_TRY(co_await received_.copy_to(payload));
  serving_.spawn(serve_write(request, std::move(cover), charge));
  co_return Result<void>{};
}

// Its parts are written as they arrive; the next request is taken when all are done.
Task<Result<void>> Connection::take_long_write(Request request, uint64_t charge) {
  io::TaskGroup parts;
  Result<void> result;
  Result<void> receiving;
  ByteRange rest = request.range;
  while (rest.length > 0) {
    ByteRange part = first_part(rest);
    rest = after(rest, part);
    PooledBuffer cover = pool_.take(part.cover().bytes());
    MutableBuffer payload = cover.span().subspan(part.skip(), part.length);
    receiving = co_await received_.copy_to(payload);
    if (!receiving) break;
    parts.spawn(serve_part(part, std::move(cover), write_flags(request), result));
  }
  co_await parts.close();
  if (!receiving) co_return receiving;
  answer(request, error_of(result), charge);
  co_return Result<void>{};
}

Task<void> Connection::serve_part(ByteRange part, PooledBuffer cover, WriteFlags flags,
                                  Result<void>& result) {
  Result<void> written = co_await volume_->device().write(part, cover.span(), flags);
  if (!written && result) result = written;
}

Task<void> Connection::serve_write(Request request, PooledBuffer cover, uint64_t charge) {
  Result<void> result =
      co_await volume_->device().write(request.range, cover.span(), write_flags(request));
  answer(request, error_of(result), charge);
}

Task<void> Connection::serve_read(Request request, uint64_t charge) {
  Payload payload{pool_.take(request.range.cover().bytes()), request.range.skip(),
                  request.range.length};
  Result<void> result = co_await volume_->device().read(request.range, payload.buffer.span());
  if (!result) payload = {};
  answer(request, error_of(result), charge, std::move(payload));
}

// A simple reply can't tell of an error after its header: everything is read before the first byte
// goes.
Task<void> Connection::serve_long_read(Request request, uint64_t charge) {
  std::vector<Payload> payloads;
  Result<void> result;
  ByteRange rest = request.range;
  while (rest.length > 0 && result) {
    ByteRange part = first_part(rest);
    rest = after(rest, part);
    Payload payload{pool_.take(part.cover().bytes()), part.skip(), part.length};
    result = co_await volume_->device().read(part, payload.buffer.span());
    payloads.push_back(std::move(payload));
  }
  if (!result) payloads.clear();
  Payload none;
  answer(request, error_of(result), charge, std::move(none), std::move(payloads));
}

Task<void> Connection::serve_other(Request request, uint64_t charge) {
  frontend::AlignedDevice& device = volume_->device();
  Task<Result<void>> operation;
  if (request.is(Command::kFlush)) {
    operation = device.flush();
  } else if (request.is(Command::kTrim)) {
    operation = device.discard(request.range, write_flags(request));
  } else {
    operation = device.zero(request.range, write_flags(request));
  }
  Result<void> result = co_await std::move(operation);
  answer(request, error_of(result), charge);
}

void Connection::answer(const Request& request, uint32_t error, uint64_t charge, Payload payload,
                        std::vector<Payload> more) {
  replies_.push(
      Reply{encode_reply(request.cookie, error), std::move(payload), std::move(more), charge});
}

}  // namespace cleat::nbd
