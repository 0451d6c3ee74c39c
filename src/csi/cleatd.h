// The cleatd that is asked for everything: the calls of api/control.proto, and the few questions
// that most of cleat-csi begins with.
//
// Threading: any thread, any number at once.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/control.grpc.pb.h"
#include "common/failure.h"
#include "common/time.h"
#include "csi/errors.h"

namespace cleat::csi {

namespace api = ::cleat::control::v1;

struct CleatdOptions {
  std::string address = "/run/cleat/cleatd.sock";  // a path (unix socket), or HOST:PORT
  std::string token;                               // empty: none
  Duration timeout = 60s;                          // of each call
};

class Cleatd {
 public:
  explicit Cleatd(CleatdOptions options);

  // call<api::Volumes>(&api::Volumes::Stub::Create, request).
  template <class Service, class Request, class Response>
  Outcome<Response> call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                               Response*),
                         const Request& request) const {
    grpc::ClientContext context;
    prepare(context);
    Response response;
    typename Service::Stub stub(channel_);
    grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    return tl::unexpected(failure_of_call(status, context, options_.address));
  }

  // By id. kNotFound for anything else, names and snapshots included: a name that was given to
  // another volume meanwhile must not lead there.
  Outcome<api::Volume> volume(const std::string& id) const;
  Outcome<api::Volume> snapshot(const std::string& id) const;
  // A volume or a snapshot; from metadata alone.
  Outcome<std::optional<api::Volume>> by_name(const std::string& name) const;
  Outcome<std::vector<api::Volume>> volumes(
      const std::map<std::string, std::string>& labels = {}) const;
  Outcome<std::vector<api::Volume>> snapshots() const;
  Outcome<std::vector<api::Node>> nodes() const;
  Outcome<std::vector<api::Pool>> pools() const;
  // Both in one change; the volume as it is after it.
  Outcome<api::Volume> change_labels(const std::string& volume_id,
                                     const std::map<std::string, std::string>& set,
                                     const std::vector<std::string>& removed) const;
  Outcome<> set_labels(const std::string& volume_id,
                       const std::map<std::string, std::string>& labels) const;
  Outcome<api::Volume> set_shared(const std::string& volume_id, bool shared) const;
  Outcome<> remove_label(const std::string& volume_id, const std::string& label) const;

 private:
  void prepare(grpc::ClientContext& context) const;
  Outcome<api::Volume> inspect(const std::string& id, const char* what) const;

  CleatdOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
};

// The label's value; empty when it is missing.
std::string label_of(const api::Volume& volume, const std::string& label);

}  // namespace cleat::csi
