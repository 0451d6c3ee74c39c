#include "core/attach_rules.h"

#include <algorithm>

namespace cleat::core {
namespace {

constexpr uint32_t kRewriteBlocksMax = 256;

MemberIndex choose_source(const std::vector<FenceReply>& replies, MemberIndex preferred) {
  MemberIndex best = kNoMember;
  bool best_lost = true;
  for (const FenceReply& reply : replies) {
    bool better = best == kNoMember || (best_lost && !reply.recent_lost) ||
                  (best_lost == reply.recent_lost && reply.member == preferred);
    if (!better) continue;
    best = reply.member;
    best_lost = reply.recent_lost;
  }
  return best;
}

// Sorted, disjoint, none longer than kRewriteBlocksMax.
std::vector<BlockRange> merge(std::vector<BlockRange> ranges) {
  std::ranges::sort(ranges, {}, &BlockRange::first);
  std::vector<BlockRange> merged;
  uint64_t covered = 0;  // everything below this block is in `merged` already
  for (const BlockRange& range : ranges) {
    uint64_t first = std::max(range.first, covered);
    while (first < range.end()) {
      auto count =
          static_cast<uint32_t>(std::min<uint64_t>(range.end() - first, kRewriteBlocksMax));
      bool joins = !merged.empty() && merged.back().end() == first &&
                   merged.back().count + count <= kRewriteBlocksMax;
      if (joins) {
        merged.back().count += count;
      } else {
        merged.push_back(BlockRange{first, count});
      }
      first += count;
    }
    covered = std::max(covered, range.end());
  }
  return merged;
}

}  // namespace

TimePoint lease_over_at(const PreviousAttach& previous, const std::vector<FenceReply>& replies,
                        TimePoint fenced_at) {
  if (previous.detached || (previous.stopped && previous.opened)) return fenced_at;
  Duration quiet{};
  for (const FenceReply& reply : replies) quiet = std::max(quiet, reply.quiet_for);
  return fenced_at + std::max(Duration{}, kLeaseWait - quiet);
}

ReconcilePlan reconcile_plan(const std::vector<FenceReply>& replies, MemberIndex preferred) {
  ReconcilePlan plan;
  plan.source = choose_source(replies, preferred);
  std::vector<BlockRange> ranges;
  for (const FenceReply& reply : replies) {
    if (reply.member != plan.source) plan.targets.add(reply.member);
    for (const RecentWrite& write : reply.recent) ranges.push_back(write.range);
    plan.compare_regions.insert(plan.compare_regions.end(), reply.intent_regions.begin(),
                                reply.intent_regions.end());
  }
  if (plan.targets.empty()) return ReconcilePlan{plan.source, {}, {}, {}};
  plan.rewrite = merge(std::move(ranges));
  std::ranges::sort(plan.compare_regions);
  auto repeated = std::ranges::unique(plan.compare_regions);
  plan.compare_regions.erase(repeated.begin(), repeated.end());
  return plan;
}

Generation first_generation(const VolumeRecord& record, const std::vector<FenceReply>& replies) {
  Generation highest = record.generation;
  for (const FenceReply& reply : replies) highest = std::max(highest, reply.generation);
  return highest.next();
}

}  // namespace cleat::core
