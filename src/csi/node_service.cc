#include "api/csi.grpc.pb.h"
#include "csi/answer.h"
#include "csi/node_inspector.h"
#include "csi/node_publisher.h"
#include "csi/services.h"
#include "csi/stager.h"

namespace cleat::csi {
namespace {

namespace spec = ::csi::v1;
using Context = grpc::ServerContext;

constexpr std::array kCapabilities = {
    spec::NodeServiceCapability::RPC::STAGE_UNSTAGE_VOLUME,
    spec::NodeServiceCapability::RPC::GET_VOLUME_STATS,
    spec::NodeServiceCapability::RPC::EXPAND_VOLUME,
    spec::NodeServiceCapability::RPC::VOLUME_CONDITION,
    spec::NodeServiceCapability::RPC::SINGLE_NODE_MULTI_WRITER,
    spec::NodeServiceCapability::RPC::GET_VOLUME_HEALTH,
    spec::NodeServiceCapability::RPC::GET_STORAGE_HEALTH,
};

class NodeService final : public spec::Node::Service {
 public:
  explicit NodeService(const NodeContext& context)
      : stager_(context), publisher_(context), inspector_(context) {}

  grpc::Status NodeGetCapabilities(Context*, const spec::NodeGetCapabilitiesRequest*,
                                   spec::NodeGetCapabilitiesResponse* out) override {
    for (auto type : kCapabilities) out->add_capabilities()->mutable_rpc()->set_type(type);
    return grpc::Status::OK;
  }
  grpc::Status NodeGetInfo(Context*, const spec::NodeGetInfoRequest*,
                           spec::NodeGetInfoResponse* out) override {
    return answer("NodeGetInfo", inspector_.info(), out);
  }
  grpc::Status NodeGetStorageHealth(Context*, const spec::NodeGetStorageHealthRequest*,
                                    spec::NodeGetStorageHealthResponse* out) override {
    return answer("NodeGetStorageHealth", inspector_.storage_health(), out);
  }
  grpc::Status NodeStageVolume(Context*, const spec::NodeStageVolumeRequest* in,
                               spec::NodeStageVolumeResponse* out) override {
    return answer("NodeStageVolume", stager_.stage(*in), out);
  }
  grpc::Status NodeUnstageVolume(Context*, const spec::NodeUnstageVolumeRequest* in,
                                 spec::NodeUnstageVolumeResponse* out) override {
    return answer("NodeUnstageVolume", stager_.unstage(*in), out);
  }
  grpc::Status NodePublishVolume(Context*, const spec::NodePublishVolumeRequest* in,
                                 spec::NodePublishVolumeResponse* out) override {
    return answer("NodePublishVolume", publisher_.publish(*in), out);
  }
  grpc::Status NodeUnpublishVolume(Context*, const spec::NodeUnpublishVolumeRequest* in,
                                   spec::NodeUnpublishVolumeResponse* out) override {
    return answer("NodeUnpublishVolume", publisher_.unpublish(*in), out);
  }
  grpc::Status NodeGetVolumeStats(Context*, const spec::NodeGetVolumeStatsRequest* in,
                                  spec::NodeGetVolumeStatsResponse* out) override {
    return answer("NodeGetVolumeStats", inspector_.stats(*in), out);
  }
  grpc::Status NodeGetVolumeHealth(Context*, const spec::NodeGetVolumeHealthRequest* in,
                                   spec::NodeGetVolumeHealthResponse* out) override {
    return answer("NodeGetVolumeHealth", inspector_.health(*in), out);
  }
  grpc::Status NodeExpandVolume(Context*, const spec::NodeExpandVolumeRequest* in,
                                spec::NodeExpandVolumeResponse* out) override {
    return answer("NodeExpandVolume", inspector_.expand(*in), out);
  }

 private:
  Stager stager_;
  NodePublisher publisher_;
  NodeInspector inspector_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_node(const NodeContext& context) {
  return std::make_unique<NodeService>(context);
}

}  // namespace cleat::csi
