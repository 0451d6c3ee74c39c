// Sends frames on one stream. What is queued while a send is under way goes out together in the
// next one.
//
// Threading: one loop. Ownership: borrows the stream, every queued frame and its payload: none of
// them may go away before the frame has left (see left()).
#pragma once

#include <array>
#include <coroutine>
#include <span>

#include "io/executor.h"
#include "io/stream.h"
#include "io/sync.h"
#include "wire/messages.h"

namespace cleat::wire {

inline constexpr size_t kBatchPartsMax = 64;       // of one write_all
inline constexpr size_t kBatchBytesMax = 1 << 20;  // a batch that reached this takes no more frames
inline constexpr size_t kPayloadPartsMax = 32;     // of one frame

// A frame on its way out. Lives in the frame of the coroutine that sends it.
struct OutFrame {
  enum class State : uint8_t { kIdle, kQueued, kSending, kSent, kFailed };

  HeaderBytes header;
  std::span<const ConstBuffer> payload;
  State state = State::kIdle;
  std::coroutine_handle<> waiter;
  OutFrame* previous = nullptr;
  OutFrame* next = nullptr;
};

class FrameSender {
 public:
  FrameSender(io::Executor& executor, io::Stream& stream);
  FrameSender(const FrameSender&) = delete;
  ~FrameSender();

  // Queues a frame; after the end of run() or stop() the frame fails at once.
  void push(OutFrame& frame);
  // True when the frame was still queued and now never goes out; its memory is free.
  bool withdraw(OutFrame& frame);
  // Waits until the sender holds no reference to the frame any more: sent or failed.
  auto left(OutFrame& frame) {
    struct Awaiter {
      OutFrame& frame;
      bool await_ready() const {
        return frame.state != OutFrame::State::kQueued && frame.state != OutFrame::State::kSending;
      }
      void await_suspend(std::coroutine_handle<> handle) { frame.waiter = handle; }
      void await_resume() const {}
    };
    return Awaiter{frame};
  }

  // Sends until stop() or until the stream fails (its error). Every frame then left in the queue
  // fails.
  io::Task<Result<void>> run();
  // Ends run(). A send under way ends only with the stream: call its shutdown() too.
  void stop();

 private:
  class Queue {
   public:
    bool empty() const { return head_ == nullptr; }
    OutFrame* front() { return head_; }
    void push_back(OutFrame& frame);
    void remove(OutFrame& frame);

   private:
    OutFrame* head_ = nullptr;
    OutFrame* tail_ = nullptr;
  };

  size_t collect();
  void leave(Queue& queue, OutFrame::State state);

  io::Executor& executor_;
  io::Stream& stream_;
  io::WaitQueue wake_;
  Queue queued_;
  Queue sending_;
  std::array<ConstBuffer, kBatchPartsMax> parts_;
  bool stopped_ = false;
};

}  // namespace cleat::wire
