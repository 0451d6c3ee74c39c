#include "engine/share_link.h"

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
  last_[primary] = client;
  if (!into.empty()) co_return co_await client->call_into(request, into, timeout);
  CO_TRY_ASSIGN(wire::Message message, co_await client->call(request, payload, timeout));
  co_return message.header;
}

void PeerShareLink::give_up(NodeId primary) {
  auto found = last_.find(primary);
  if (found == last_.end()) return;
  if (auto client = found->second.lock()) client->shutdown();
}

}  // namespace cleat::engine
