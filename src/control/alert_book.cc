#include "control/alert_book.h"

#include <algorithm>
#include <set>

#include "control/api_views.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

std::string key_of(const AlertCause& cause) { return cause.kind + ":" + cause.subject; }

}  // namespace

Outcome<> AlertBook::raise(const AlertCause& cause) {
  const std::string id = key_of(cause);
  const std::string key = context_.keys.alert(id);
  OUTCOME_ASSIGN(auto found, load<meta::Alert>(context_.store, key));
  const uint64_t now = context_.now_unix_ms();
  const bool stands = found && found->value.cleared_unix_ms() == 0;
  if (stands && found->value.message() == cause.message) return {};
  meta::Alert alert = found ? found->value : meta::Alert{};
  alert.set_key(id);
  alert.set_severity(cause.severity);
  alert.set_type(cause.kind);
  alert.set_subject_kind(cause.subject_kind);
  alert.set_subject(cause.subject);
  alert.set_message(cause.message);
  if (!stands) {
    alert.set_raised_unix_ms(now);
    alert.set_count(alert.count() + 1);
  }
  alert.set_last_unix_ms(now);
  alert.clear_cleared_unix_ms();
  auto done = context_.store.commit(
      Txn{}.require(key, found ? found->revision : Revision{}).put(key, alert.SerializeAsString()));
  if (!done && done.error().code != Code::kConflict) return tl::unexpected(done.error());
  return {};  // lost to another who raised the same
}

Outcome<> AlertBook::reconcile(const std::vector<AlertCause>& standing,
                               const std::vector<std::string>& kinds) {
  std::set<std::string> stands;
  for (const auto& cause : standing) {
    stands.insert(key_of(cause));
    OUTCOME_TRY(raise(cause));
  }
  OUTCOME_ASSIGN(auto alerts, load_all<meta::Alert>(context_.store, context_.keys.alerts()));
  for (auto& alert : alerts) {
    const bool ours = std::find(kinds.begin(), kinds.end(), alert.value.type()) != kinds.end();
    if (!ours || alert.value.cleared_unix_ms() != 0 || stands.contains(alert.value.key())) continue;
    alert.value.set_cleared_unix_ms(context_.now_unix_ms());
    auto done = context_.store.commit(
        Txn{}.require(alert.key, alert.revision).put(alert.key, alert.value.SerializeAsString()));
    if (!done && done.error().code != Code::kConflict) return tl::unexpected(done.error());
  }
  return {};
}

Outcome<> AlertBook::expire() {
  const auto kept = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(context_.limits.alert_kept).count());
  OUTCOME_ASSIGN(auto alerts, load_all<meta::Alert>(context_.store, context_.keys.alerts()));
  for (const auto& alert : alerts) {
    const uint64_t cleared = alert.value.cleared_unix_ms();
    if (cleared == 0 || cleared + kept > context_.now_unix_ms()) continue;
    auto done = context_.store.commit(Txn{}.require(alert.key, alert.revision).erase(alert.key));
    if (!done && done.error().code != Code::kConflict) return tl::unexpected(done.error());
  }
  return {};
}

Outcome<std::vector<meta::Alert>> AlertBook::all() {
  OUTCOME_ASSIGN(auto alerts, load_all<meta::Alert>(context_.store, context_.keys.alerts()));
  std::vector<meta::Alert> out;
  for (auto& alert : alerts) out.push_back(std::move(alert.value));
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.last_unix_ms() > b.last_unix_ms(); });
  return out;
}

Outcome<v1::ListAlertsResponse> AlertBook::list(const v1::ListAlertsRequest& request) {
  OUTCOME_ASSIGN(auto alerts, all());
  v1::ListAlertsResponse out;
  for (const auto& alert : alerts) {
    if (alert.cleared_unix_ms() != 0 && !request.with_cleared()) continue;
    if (!request.resource().empty() && alert.subject() != request.resource()) continue;
    if (static_cast<int>(alert.severity()) < static_cast<int>(request.at_least())) continue;
    *out.add_alerts() = to_api(alert);
  }
  return out;
}

Outcome<v1::ClearAlertsResponse> AlertBook::clear(const v1::ClearAlertsRequest& request) {
  OUTCOME_ASSIGN(auto alerts, load_all<meta::Alert>(context_.store, context_.keys.alerts()));
  v1::ClearAlertsResponse out;
  for (const auto& id : request.ids()) {
    const bool known = std::any_of(alerts.begin(), alerts.end(),
                                   [&](const auto& alert) { return alert.value.key() == id; });
    if (!known) return failure(Code::kNotFound, "there is no alert \"{}\"", id);
  }
  for (auto& alert : alerts) {
    const bool asked = request.all() || std::find(request.ids().begin(), request.ids().end(),
                                                  alert.value.key()) != request.ids().end();
    if (!asked || alert.value.cleared_unix_ms() != 0) continue;
    alert.value.set_cleared_unix_ms(context_.now_unix_ms());
    auto done = context_.store.commit(
        Txn{}.require(alert.key, alert.revision).put(alert.key, alert.value.SerializeAsString()));
    if (!done && done.error().code == Code::kConflict) continue;
    OUTCOME_TRY(done);
    out.set_cleared(out.cleared() + 1);
  }
  return out;
}

}  // namespace cleat::control
