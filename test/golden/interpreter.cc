#include "test/golden/interpreter.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <sstream>
#include <vector>

#include "core/attach_rules.h"
#include "core/in_sync_set.h"
#include "core/replica_fsm.h"
#include "core/write_pipeline.h"

namespace cleat::core::golden {
namespace {

std::string text_of(MemberSet set) {
  std::string text;
  for (MemberIndex member : set) text += (text.empty() ? "" : " ") + std::to_string(int{member});
  return "{" + text + "}";
}

class Interpreter {
 public:
  std::string run(const std::string& script) {
    std::istringstream lines(script);
    for (std::string line; std::getline(lines, line);) {
      std::string code = line.substr(0, line.find('#'));
      std::istringstream words(code);
      std::string command;
      if (!(words >> command)) {
        trace_ += line + "\n";
        continue;
      }
      trace_ += line + "\n";
      if (!of_writes(command, words) && !of_members(command, words) &&
          !of_replica(command, words)) {
        say("unknown command");
      }
    }
    return trace_;
  }

 private:
  void say(const std::string& text) { trace_ += "    " + text + "\n"; }

  void say_set() {
    say(fmt::format("in sync {} leaving {} syncing {} behind {}; send to {}, wait for {}",
                    text_of(set_->in_sync()), text_of(set_->leaving()), text_of(set_->syncing()),
                    text_of(set_->behind()), text_of(set_->send_to()), text_of(set_->wait_for())));
  }

  std::string name_of(WritePipeline::Id id) const {
    for (const auto& [name, known] : ids_) {
      if (known == id) return name;
    }
    return "?";
  }

  void start(const std::string& name) {
    bool is_copy = copies_.contains(name);
    MemberSet wait_for = is_copy ? MemberSet{} : set_->wait_for();
    Seq seq = pipeline_.start(ids_[name], wait_for);
    say(fmt::format("{} starts, seq {}, waits for {}", name, seq.value, text_of(wait_for)));
  }

  void complete(const std::string& name) {
    say(fmt::format("{} is complete", name));
    std::vector<WritePipeline::Id> startable;
    pipeline_.finish(ids_[name], startable);
    ids_.erase(name);
    say(fmt::format("known everywhere: seq {}", pipeline_.known_everywhere().value));
    for (WritePipeline::Id id : startable) start(name_of(id));
  }

  void members_left(MemberSet left) {
    std::vector<WritePipeline::Id> completed;
    for (MemberIndex member : left) pipeline_.member_left(member, completed);
    for (WritePipeline::Id id : completed) complete(name_of(id));
  }

  bool of_writes(const std::string& command, std::istream& words) {
    std::string name;
    if (command == "write" || command == "copy") {
      uint64_t first = 0;
      uint32_t count = 0;
      words >> name >> first >> count;
      bool is_copy = command == "copy";
      if (is_copy) copies_[name] = true;
      auto kind = is_copy ? OperationKind::kCopy : OperationKind::kWrite;
      ids_[name] = pipeline_.submit(kind, BlockRange{first, count});
      if (!pipeline_.may_start(ids_[name])) {
        say(name + " waits: something earlier overlaps (R6)");
      } else {
        start(name);
      }
      return true;
    }
    if (command == "ack") {
      int member = 0;
      words >> name >> member;
      auto index = static_cast<MemberIndex>(member);
      if (pipeline_.acknowledged(ids_[name], index)) {
        complete(name);
      } else {
        say(fmt::format("{} waits for {}", name, text_of(pipeline_.waiting(ids_[name]))));
      }
      return true;
    }
    return false;
  }

  bool of_members(const std::string& command, std::istream& words) {
    int number = 0;
    if (command == "replicas") {
      words >> number;
      for (int i = 0; i < number; ++i) {
        record_.replicas.push_back({static_cast<MemberIndex>(i),
                                    NodeId(static_cast<uint64_t>(i) + 1), PoolId(1),
                                    ReplicaState::kInSync, Generation{}});
      }
      set_.emplace(record_);
    } else if (command == "fail") {
      words >> number;
      fail(static_cast<MemberIndex>(number));
    } else if (command == "sync") {
      words >> number;
      set_->begin_sync(static_cast<MemberIndex>(number));
    } else if (command == "join") {
      words >> number;
      set_->request_join(static_cast<MemberIndex>(number));
    } else if (command == "change") {
      next_ = set_->next_change(record_, Generation(7));
      say(next_ ? "a transaction is due:" : "nothing is due");
      if (next_) say_record(*next_);
    } else if (command == "committed") {
      record_ = *next_;
      members_left(set_->committed().left);
    } else if (command == "conflicted") {
      set_->conflicted(record_);
    } else {
      return false;
    }
    say_set();
    return true;
  }

  void fail(MemberIndex member) {
    InSyncSet::Failed outcome = set_->fail(member);
    static constexpr std::array<const char*, 4> kOutcomes = {
        "leaving: writes wait for the transaction (R2)", "dropped: writes wait for it no more",
        "the last in sync: it stays (R10)", "known already"};
    say(kOutcomes[static_cast<size_t>(outcome)]);
    if (outcome == InSyncSet::Failed::kDropped) members_left(MemberSet{member});
  }

  void say_record(const VolumeRecord& record) {
    for (const ReplicaRecord& replica : record.replicas) {
      const char* state = replica.state == ReplicaState::kInSync ? "in sync" : "stale";
      say(fmt::format("  replica {}: {}, left at {}", int{replica.index}, state,
                      replica.left_at.value));
    }
  }

  bool of_replica(const std::string& command, std::istream& words) {
    uint64_t epoch = 0;
    uint32_t number = 0;
    if (command == "fence") {
      words >> epoch >> number;
      FenceAt at{Epoch(epoch), number};
      ReplicaFsm::Fence fence = replica_.fence(at);
      static constexpr std::array<const char*, 4> kFences = {
          "refused: a higher epoch is known", "refused: a later fence came", "answered: it holds",
          "made durable, then answered"};
      say(kFences[static_cast<size_t>(fence)]);
      if (fence == ReplicaFsm::Fence::kDrain) (void)replica_.fenced(at);
    } else if (command == "message") {
      words >> epoch >> number;
      ReplicaFsm::Admission admission = replica_.admit(FenceAt{Epoch(epoch), number});
      static constexpr std::array<const char*, 3> kAdmissions = {
          "admitted", "refused: a higher epoch is known", "refused: fence first"};
      say(kAdmissions[static_cast<size_t>(admission)]);
      if (admission == ReplicaFsm::Admission::kAdmitted) replica_.end_operation();
    } else if (command == "restart") {
      replica_ = ReplicaFsm(replica_.durable());
      say(fmt::format("a new process; durable epoch {}", replica_.durable().value));
    } else if (command == "report") {
      report(words);
    } else if (command == "plan") {
      plan(words);
    } else {
      return false;
    }
    return true;
  }

  void report(std::istream& words) {
    FenceReply reply;
    int member = 0;
    std::string list;
    words >> member >> list;
    reply.member = static_cast<MemberIndex>(member);
    reply.recent_lost = list == "lost";
    uint64_t first = 0;
    uint32_t count = 0;
    while (words >> first >> count) {
      if (reply.recent_lost) {
        for (uint32_t i = 0; i < count; ++i) reply.intent_regions.push_back(first + i);
      } else {
        reply.recent.push_back({Seq(reply.recent.size() + 1), BlockRange{first, count}});
      }
    }
    replies_.push_back(std::move(reply));
  }

  void plan(std::istream& words) {
    int preferred = 0;
    words >> preferred;
    ReconcilePlan made = reconcile_plan(replies_, static_cast<MemberIndex>(preferred));
    say(fmt::format("from {} to {}", int{made.source}, text_of(made.targets)));
    for (BlockRange range : made.rewrite)
      say(fmt::format("rewrite {}+{}", range.first, range.count));
    for (uint64_t region : made.compare_regions) say(fmt::format("compare region {}", region));
  }

  std::string trace_;
  VolumeRecord record_;
  std::optional<InSyncSet> set_;
  std::optional<VolumeRecord> next_;
  WritePipeline pipeline_;
  std::map<std::string, WritePipeline::Id> ids_;
  std::map<std::string, bool> copies_;
  ReplicaFsm replica_{Epoch(1)};
  std::vector<FenceReply> replies_;
};

}  // namespace

std::string run_script(const std::string& script) { return Interpreter().run(script); }

}  // namespace cleat::core::golden
