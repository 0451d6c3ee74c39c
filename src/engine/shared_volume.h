// A shared volume on its primary: admits its sharers and carries out what they ask for (ADR 9).
// The order among their operations is core::ShareTable's.
//
// Threading: the loop of the volume. Ownership: borrows the volume.
// Lifetime: run() as long as it serves; end(), then the volume is detached or stopped, then
// drained() must have returned before either dies.
#pragma once

#include <map>
#include <memory>

#include "core/share_table.h"
#include "engine/volume.h"
#include "io/sync.h"

namespace cleat::engine {

// A sharer for whose word others wait is expelled when it has said nothing for this long.
inline constexpr Duration kShareSilenceMax = std::chrono::seconds(10);

class SharedVolume {
 public:
  // The sharers of the record are waited for before anything is carried out: what they had no
  // answer to comes first.
  SharedVolume(io::Executor& executor, Volume& volume);
  ~SharedVolume();

  // Expels sharers that are silent.
  io::Task<void> run();
  // Answers everything that waits, and what comes later, with kClosed.
  void end();
  // Waits until no call is inside.
  io::Task<void> drained();

  // One request of a sharer; a read goes to `into`, which has its size. The error is the answer:
  // kPermission: it is no sharer (any more), for good. kNotInSync, kStaleEpoch, kClosed: join
  // again, wherever the primary is then. Else that of the volume.
  io::Task<Result<wire::Header>> call(NodeId sharer, const wire::Header& request,
                                      ConstBuffer payload, MutableBuffer into);
  // Takes it off the record; what it still sends is refused.
  io::Task<Result<void>> expel(NodeId sharer);

 private:
  struct Session {
    uint32_t number = 0;     // of its newest join; 0: none
    bool has_named = false;  // what it had no answer to
    uint32_t inside = 0;     // operations under way, of whatever session
    TimePoint heard;         // the last message
  };
  struct Operation;

  Session& session(NodeId sharer);
  Result<void> check_session(NodeId sharer, const wire::Header& request);
  Result<void> check_sharer(NodeId sharer, const wire::Header& request) const;
  io::Task<Result<wire::Header>> join(NodeId sharer, const wire::Header& request);
  io::Task<Result<wire::Header>> name(NodeId sharer, const wire::Header& request,
                                      ConstBuffer payload);
  io::Task<Result<void>> new_session(NodeId sharer);
  io::Task<Result<wire::Header>> leave(NodeId sharer, const wire::Header& request);
  io::Task<Result<wire::Header>> operate(NodeId sharer, const wire::Header& request,
                                         ConstBuffer payload, MutableBuffer into);
  io::Task<Result<void>> wait_for_turn(NodeId sharer, core::ShareTable::Place place,
                                       uint32_t session);
  io::Task<Result<void>> execute(const wire::Header& request, ConstBuffer payload,
                                 MutableBuffer into);
  Result<wire::Header> confirm(NodeId sharer, const wire::Header& request, ConstBuffer payload);
  io::Task<void> expel_silent();
  wire::Header reply_to(const wire::Header& request) const;

  io::Executor& executor_;
  Volume& volume_;
  core::ShareTable table_;
  std::map<NodeId, Session> sessions_;
  std::map<NodeId, TimePoint> waited_since_;
  io::WaitQueue changed_;  // of the table, of sessions, of what is under way
  uint32_t last_session_ = 0;
  uint32_t inside_ = 0;
  bool stopping_ = false;
};

}  // namespace cleat::engine
