// Alerts: one for each cause (kind and subject). Raised again, its count goes up; cleared, it stays
// visible for a while.
//
// Threading: any thread.
#pragma once

#include <vector>

#include "api/control.pb.h"
#include "api/meta.pb.h"
#include "control/context.h"

namespace cleat::control {

struct AlertCause {
  meta::Alert::Severity severity = meta::Alert::WARNING;
  std::string kind;          // "volume_degraded"
  std::string subject_kind;  // volume, node, pool, cluster
  std::string subject;       // a name
  std::string message;
};

class AlertBook {
 public:
  explicit AlertBook(const ControlContext& context) : context_(context) {}

  Outcome<> raise(const AlertCause& cause);
  // The causes that stand now: raises the new ones and clears those of `kinds` that are gone.
  Outcome<> reconcile(const std::vector<AlertCause>& standing,
                      const std::vector<std::string>& kinds);
  // Forgets what was cleared long ago.
  Outcome<> expire();
  Outcome<std::vector<meta::Alert>> all();

  Outcome<v1::ListAlertsResponse> list(const v1::ListAlertsRequest& request);
  Outcome<v1::ClearAlertsResponse> clear(const v1::ClearAlertsRequest& request);

 private:
  const ControlContext& context_;
};

}  // namespace cleat::control
