#include "sim/cluster/planted_bug.h"

#include <algorithm>

#include "engine/payloads.h"

namespace cleat::sim {
namespace {

class BuggyMember final : public engine::Member {
 public:
  BuggyMember(PlantedBug bug, std::unique_ptr<engine::Member> member)
      : bug_(bug), member_(std::move(member)) {}

  io::Task<Result<wire::Header>> call(const wire::Header& request, ConstBuffer payload,
                                      MutableBuffer into, Duration timeout) override {
    bool change = request.type == wire::Type::kWrite || request.type == wire::Type::kZero;
    if (bug_ == PlantedBug::kAcknowledgeEarly && change && ++changes_ % 16 == 0) co_return request;
    if (bug_ == PlantedBug::kSkipFlush && request.type == wire::Type::kFlush) co_return request;
    if (bug_ == PlantedBug::kSkipCopy && request.type == wire::Type::kDigest) {
      std::ranges::fill(into, std::byte{0x5a});
      co_return request;
    }
    if (bug_ == PlantedBug::kNoLease && request.type == wire::Type::kHeartbeat) co_return request;
    auto reply = co_await member_->call(request, payload, into, timeout);
    if (!reply && bug_ == PlantedBug::kIgnoreErrors && change) co_return request;
    co_return reply;
  }

  io::Task<Result<engine::Answer>> query(const wire::Header& request, ConstBuffer payload,
                                         Duration timeout) override {
    auto answer = co_await member_->query(request, payload, timeout);
    bool fence = request.type == wire::Type::kFence;
    if (!answer) co_return answer;
    if (bug_ == PlantedBug::kForgetDirty && request.type == wire::Type::kDirtyRegions) {
      answer->payload.clear();
    }
    if (bug_ == PlantedBug::kLoseRecent && fence) {
      auto told = engine::decode_fence(answer->payload);
      if (told) {
        told->reply.recent.clear();
        answer->payload = engine::encode_fence(*told);
      }
    }
    co_return answer;
  }

  void give_up() override { member_->give_up(); }

 private:
  PlantedBug bug_;
  std::unique_ptr<engine::Member> member_;
  uint64_t changes_ = 0;
};

class BuggyLink final : public engine::ShareLink {
 public:
  BuggyLink(PlantedBug bug, engine::ShareLink& link, io::Executor& executor)
      : bug_(bug), link_(link), executor_(executor) {}

  io::Task<Result<wire::Header>> call(NodeId primary, const wire::Header& request,
                                      ConstBuffer payload, MutableBuffer into,
                                      Duration timeout) override {
    bool names = request.type == wire::Type::kShareNames;
    bool is_bad = names && bug_ == PlantedBug::kNameNothing;
    if (is_bad) payload = {};
    auto reply = co_await link_.call(primary, request, payload, into, timeout);
    // Others have time to see the change, and to write over it, before it is repeated.
    if (is_bad) co_await executor_.sleep(30ms);
    co_return reply;
  }
  void give_up(NodeId primary, VolumeId volume) override { link_.give_up(primary, volume); }

 private:
  PlantedBug bug_;
  engine::ShareLink& link_;
  io::Executor& executor_;
};

}  // namespace

const std::vector<PlantedBugName>& planted_bug_names() {
  static const std::vector<PlantedBugName> names = {
      {PlantedBug::kNone, "none"},
      {PlantedBug::kAcknowledgeEarly, "acknowledge-early"},
      {PlantedBug::kIgnoreEpoch, "ignore-epoch"},
      {PlantedBug::kIgnoreErrors, "ignore-errors"},
      {PlantedBug::kForgetDirty, "forget-dirty"},
      {PlantedBug::kLoseRecent, "lose-recent"},
      {PlantedBug::kLieAboutRemoval, "lie-about-removal"},
      {PlantedBug::kSkipFlush, "skip-flush"},
      {PlantedBug::kNoLease, "no-lease"},
      {PlantedBug::kSkipCopy, "skip-copy"},
      {PlantedBug::kNameNothing, "name-nothing"},
      {PlantedBug::kConfirmEarly, "confirm-early"},
  };
  return names;
}

std::optional<PlantedBug> planted_bug(std::string_view name) {
  for (const PlantedBugName& known : planted_bug_names()) {
    if (known.name == name) return known.bug;
  }
  return std::nullopt;
}

std::unique_ptr<engine::Member> plant(PlantedBug bug, std::unique_ptr<engine::Member> member,
                                      bool remote) {
  switch (bug) {
    case PlantedBug::kNone:
    case PlantedBug::kIgnoreEpoch:
    case PlantedBug::kLieAboutRemoval:
    case PlantedBug::kNameNothing:
    case PlantedBug::kConfirmEarly: return member;
    case PlantedBug::kAcknowledgeEarly:
    case PlantedBug::kSkipFlush:
    case PlantedBug::kNoLease:
      if (!remote) return member;
      break;
    default: break;
  }
  return std::make_unique<BuggyMember>(bug, std::move(member));
}

std::unique_ptr<engine::ShareLink> plant(PlantedBug bug, engine::ShareLink& link,
                                         io::Executor& executor) {
  return std::make_unique<BuggyLink>(bug, link, executor);
}

void EpochBlindness::blind(wire::Header& request) {
  if (request.type == wire::Type::kFence && request.epoch >= epoch) {
    epoch = request.epoch;
    fence = request.fence;
  } else if (request.epoch < epoch) {
    request.epoch = epoch;
    request.fence = fence;
  }
}

io::Task<wire::Reply> EpochBlindHandler::handle(wire::Message request) {
  blindness_.blind(request.header);
  io::Task<wire::Reply> task = service_.handle(std::move(request));
  wire::Reply reply = co_await std::move(task);
  co_return reply;
}

io::Task<Result<wire::Header>> EpochBlindMember::call(const wire::Header& request,
                                                      ConstBuffer payload, MutableBuffer into,
                                                      Duration timeout) {
  wire::Header blinded = request;
  blindness_.blind(blinded);
  auto reply = co_await member_->call(blinded, payload, into, timeout);
  co_return reply;
}

io::Task<Result<engine::Answer>> EpochBlindMember::query(const wire::Header& request,
                                                         ConstBuffer payload, Duration timeout) {
  wire::Header blinded = request;
  blindness_.blind(blinded);
  auto answer = co_await member_->query(blinded, payload, timeout);
  co_return answer;
}

}  // namespace cleat::sim
