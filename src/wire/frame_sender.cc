#include "wire/frame_sender.h"

#include "common/check.h"

namespace cleat::wire {

static_assert(kPayloadPartsMax < kBatchPartsMax, "any frame fits into an empty batch");

void FrameSender::Queue::push_back(OutFrame& frame) {
  frame.previous = tail_;
  frame.next = nullptr;
  if (tail_ != nullptr) {
    tail_->next = &frame;
  } else {
    head_ = &frame;
  }
  tail_ = &frame;
}

void FrameSender::Queue::remove(OutFrame& frame) {
  if (frame.previous != nullptr) {
    frame.previous->next = frame.next;
  } else {
    head_ = frame.next;
  }
  if (frame.next != nullptr) {
    frame.next->previous = frame.previous;
  } else {
    tail_ = frame.previous;
  }
  frame.previous = nullptr;
  frame.next = nullptr;
}

FrameSender::FrameSender(io::Executor& executor, io::Stream& stream)
    : executor_(executor), stream_(stream), wake_(executor) {}

FrameSender::~FrameSender() {
  CHECK(queued_.empty() && sending_.empty(), "a sender ends before it dies");
}

void FrameSender::push(OutFrame& frame) {
  CHECK(frame.payload.size() <= kPayloadPartsMax, "a frame has a bounded number of parts");
  if (stopped_) {
    frame.state = OutFrame::State::kFailed;
    return;
  }
  frame.state = OutFrame::State::kQueued;
  queued_.push_back(frame);
  wake_.notify_one();
}

bool FrameSender::withdraw(OutFrame& frame) {
  if (frame.state != OutFrame::State::kQueued) return false;
  queued_.remove(frame);
  frame.state = OutFrame::State::kFailed;
  return true;
}

// Moves frames from the queue to the batch while they fit.
size_t FrameSender::collect() {
  size_t count = 0;
  size_t bytes = 0;
  while (!queued_.empty() && bytes < kBatchBytesMax) {
    OutFrame& frame = *queued_.front();
    if (count + 1 + frame.payload.size() > kBatchPartsMax) break;
    queued_.remove(frame);
    sending_.push_back(frame);
    frame.state = OutFrame::State::kSending;
    parts_[count++] = frame.header;
    bytes += kHeaderBytes;
    for (ConstBuffer part : frame.payload) {
      if (part.empty()) continue;
      parts_[count++] = part;
      bytes += part.size();
    }
  }
  return count;
}

void FrameSender::leave(Queue& queue, OutFrame::State state) {
  while (!queue.empty()) {
    OutFrame& frame = *queue.front();
    queue.remove(frame);
    frame.state = state;
    if (frame.waiter) executor_.post(std::exchange(frame.waiter, {}));
  }
}

io::Task<Result<void>> FrameSender::run() {
  Result<void> result;
  while (result && !stopped_) {
    if (queued_.empty()) {
      co_await wake_.wait();
      continue;
    }
    size_t count = collect();
    auto sending = stream_.write_all(std::span<const ConstBuffer>(parts_.data(), count));
    result = co_await std::move(sending);
    leave(sending_, result ? OutFrame::State::kSent : OutFrame::State::kFailed);
  }
  stopped_ = true;
  leave(queued_, OutFrame::State::kFailed);
  co_return result;
}

void FrameSender::stop() {
  stopped_ = true;
  leave(queued_, OutFrame::State::kFailed);
  wake_.notify_all();
}

}  // namespace cleat::wire
