#include "engine/remote_member.h"

#include "engine/members.h"

namespace cleat::engine {

io::Task<Result<wire::Header>> RemoteMember::call(const wire::Header& request, ConstBuffer payload,
                                                  MutableBuffer into, Duration timeout) {
  CO_TRY_ASSIGN(std::shared_ptr<wire::PeerClient> client, co_await peers_.get(node_));
  last_ = client;
  wire::Header reply;
  if (into.empty()) {
    CO_TRY_ASSIGN(wire::Message message, co_await client->call(request, payload, timeout, &calls_));
    reply = message.header;
  } else {
    CO_TRY_ASSIGN(reply, co_await client->call_into(request, into, timeout, &calls_));
  }
  CO_TRY(reply.status());
  co_return reply;
}

io::Task<Result<Answer>> RemoteMember::query(const wire::Header& request, ConstBuffer payload,
                                             Duration timeout) {
  CO_TRY_ASSIGN(std::shared_ptr<wire::PeerClient> client, co_await peers_.get(node_));
  last_ = client;
  CO_TRY_ASSIGN(wire::Message message, co_await client->call(request, payload, timeout, &calls_));
  CO_TRY(message.header.status());
  ConstBuffer bytes = message.payload();
  Answer answer{message.header, std::vector<std::byte>(bytes.begin(), bytes.end())};
  co_return answer;
}

void RemoteMember::give_up() {
  calls_.give_up();
  if (auto client = last_.lock()) client->end_if_silent(kSilenceMax);
}

}  // namespace cleat::engine
