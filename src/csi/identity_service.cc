#include "api/csi.grpc.pb.h"
#include "csi/answer.h"
#include "csi/names.h"
#include "csi/services.h"

namespace cleat::csi {
namespace {

namespace spec = ::csi::v1;

class IdentityService final : public spec::Identity::Service {
 public:
  IdentityService(const Cleatd& quick, const CsiOptions& options)
      : quick_(quick), controller_(options.serves_controller()), node_(options.serves_node()) {}

  grpc::Status GetPluginInfo(grpc::ServerContext*, const spec::GetPluginInfoRequest*,
                             spec::GetPluginInfoResponse* out) override {
    out->set_name(kDriverName);
    out->set_vendor_version(CLEAT_VERSION);
    return grpc::Status::OK;
  }

  grpc::Status GetPluginCapabilities(grpc::ServerContext*,
                                     const spec::GetPluginCapabilitiesRequest*,
                                     spec::GetPluginCapabilitiesResponse* out) override {
    using Offer = spec::PluginCapability::Service;
    std::vector<Offer::Type> types{Offer::VOLUME_ACCESSIBILITY_CONSTRAINTS,
                                   Offer::SNAPSHOT_ACCESSIBILITY_CONSTRAINTS};
    if (controller_) {
      types.insert(types.end(), {Offer::CONTROLLER_SERVICE, Offer::GROUP_CONTROLLER_SERVICE});
    }
    for (auto type : types) out->add_capabilities()->mutable_service()->set_type(type);
    out->add_capabilities()->mutable_volume_expansion()->set_type(
        spec::PluginCapability::VolumeExpansion::ONLINE);
    return grpc::Status::OK;
  }

  // The kubelet restarts what isn't ready. Of a controller another takes over then; a node's
  // plugin would be killed with its mkfs and e2fsck, again and again, while cleatd is away.
  grpc::Status Probe(grpc::ServerContext*, const spec::ProbeRequest*,
                     spec::ProbeResponse* out) override {
    out->mutable_ready()->set_value(node_ || quick_.nodes().has_value());
    return grpc::Status::OK;
  }

 private:
  const Cleatd& quick_;
  const bool controller_;
  const bool node_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_identity(const Cleatd& quick, const CsiOptions& options) {
  return std::make_unique<IdentityService>(quick, options);
}

}  // namespace cleat::csi
