#include "engine/share_link.h"

#include "engine/members.h"

namespace cleat::engine {

io::Task<Result<wire::Header>> PeerShareLink::call(NodeId primary, const wire::Header& request,
                                                   ConstBuffer payload, MutableBuffer into,
                                                   Duration timeout) {
  if (primary == self_) {
    auto answer = co_await here_.call(self_, request, payload, into);
    if (answer) co_return answer;
    wire::Header refusal = request;
    refusal.error = answer.error().code;
    co_return refusal;
  }
  CO_TRY_ASSIGN(std::shared_ptr<wire::PeerClient> client, co_await peers_.get(primary));
  if ((client->session().features & wire::kFeatureShare) == 0) {
    co_return fail(Code::kUnsupported, "the cleatd of the primary is older: it shares no volumes");
  }
  Way& way = ways_[{primary, request.volume}];
  way.last = client;
  if (!into.empty()) co_return co_await client->call_into(request, into, timeout, &way.calls);
  CO_TRY_ASSIGN(wire::Message message,
                co_await client->call(request, payload, timeout, &way.calls));
  co_return message.header;
}

void PeerShareLink::give_up(NodeId primary, VolumeId volume) {
  auto found = ways_.find({primary, volume});
  if (found == ways_.end()) return;
  found->second.calls.give_up();
  if (auto client = found->second.last.lock()) client->end_if_silent(kSilenceMax);
}

}  // namespace cleat::engine
