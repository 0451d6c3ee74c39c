// Bugs put in on purpose, between the primary and its replicas, to prove that the simulator would
// notice them. None of them is in the code that ships: they are wrappers around its ports.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/member.h"
#include "engine/share_link.h"
#include "wire/request_handler.h"

namespace cleat::sim {

enum class PlantedBug : uint8_t {
  kNone,
  kAcknowledgeEarly,  // R1: a write to a remote replica is acknowledged and may not have been done
  kIgnoreEpoch,       // R4: replicas serve messages of any epoch
  kIgnoreErrors,      // R9: a failed write is taken for done
  kForgetDirty,       // R8: a dirty map answers that nothing was written
  kLoseRecent,        // R7: replicas report no recent writes
  kLieAboutRemoval,   // R2: the metadata transaction is reported as stored and was not
  kSkipFlush,         // R1: a flush of a remote replica is acknowledged and was not done
  kNoLease,           // R5: silent replicas count as having answered
  kSkipCopy,          // R8: a replica is let in without a copy
  kNameNothing,       // ADR 9: a sharer that joins again names no change without an answer
  kConfirmEarly,      // ADR 9: an answer is confirmed before the kernel has it
};

// The bugs by name, for the command line; kNone is "none".
struct PlantedBugName {
  PlantedBug bug;
  std::string_view name;
};
const std::vector<PlantedBugName>& planted_bug_names();
std::optional<PlantedBug> planted_bug(std::string_view name);

// It shows only where the volume has sharers.
inline bool needs_sharers(PlantedBug bug) {
  return bug == PlantedBug::kNameNothing || bug == PlantedBug::kConfirmEarly;
}

// The member with the bug, if the bug is one of members.
std::unique_ptr<engine::Member> plant(PlantedBug bug, std::unique_ptr<engine::Member> member,
                                      bool remote);

// A way to the primary with the bug, if the bug is one of sharers.
std::unique_ptr<engine::ShareLink> plant(PlantedBug bug, engine::ShareLink& link,
                                         io::Executor& executor);

// For kIgnoreEpoch: every message of a lower epoch, or of an older fence, is taken for one of the
// newest that passed. One for each process.
struct EpochBlindness {
  Epoch epoch;
  uint32_t fence = 0;
  void blind(wire::Header& request);
};

// The replicas' service behind a door that lets every epoch in.
class EpochBlindHandler final : public wire::RequestHandler {
 public:
  EpochBlindHandler(wire::RequestHandler& service, EpochBlindness& blindness)
      : service_(service), blindness_(blindness) {}
  io::Task<wire::Reply> handle(wire::Message request) override;

 private:
  wire::RequestHandler& service_;
  EpochBlindness& blindness_;
};

// The same for the replica of this process.
class EpochBlindMember final : public engine::Member {
 public:
  EpochBlindMember(std::unique_ptr<engine::Member> member, EpochBlindness& blindness)
      : member_(std::move(member)), blindness_(blindness) {}
  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration timeout) override;
  io::Task<Result<engine::Answer>> query(const wire::Header& request, ConstBuffer payload,
                                         Duration timeout) override;
  void give_up() override { member_->give_up(); }

 private:
  std::unique_ptr<engine::Member> member_;
  EpochBlindness& blindness_;
};

}  // namespace cleat::sim
