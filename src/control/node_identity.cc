#include "control/node_identity.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/durable_file.h"
#include "control/record_codec.h"
#include "control/typed_store.h"

namespace cleat::control {
namespace {

constexpr uint32_t kLayoutVersion = 1;
constexpr const char* kHeader = "cleat-node-identity 1";

std::string path_in(const std::string& data_dir) { return data_dir + "/identity"; }

std::string make_uuid(const ControlContext& context) {
  const uint64_t a = context.random();
  const uint64_t b = context.random();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     0x8000 | ((b >> 48) & 0x3fff), b & 0xffffffffffffULL);
}

Outcome<> check_epochs(const ControlContext& context, const std::vector<LocalReplica>& replicas) {
  if (replicas.empty()) return {};
  OUTCOME_ASSIGN(Listing records, context.store.list(context.keys.records()));
  std::map<uint64_t, uint64_t> epochs;
  for (const auto& entry : records.entries) {
    auto record = decode_record(entry.value);
    if (record) epochs[record->id.value] = record->epoch.value;
  }
  for (const auto& replica : replicas) {
    auto found = epochs.find(replica.volume.value);
    if (found == epochs.end() || found->second >= replica.epoch.value) continue;
    return failure(
        Code::kConflict,
        "etcd was restored from an older backup: it has volume {} at epoch {}, and the replica "
        "here was already at {}. Restore a newer backup, or run `cleat cluster "
        "rebuild-metadata --force`",
        replica.volume.value, found->second, replica.epoch.value);
  }
  return {};
}

}  // namespace

Outcome<NodeIdentity> NodeIdentity::load_or_make(const std::string& data_dir,
                                                 const std::function<uint64_t()>& random) {
  std::error_code error;
  std::filesystem::create_directories(data_dir, error);
  std::ifstream file(path_in(data_dir));
  if (!file) {
    NodeIdentity fresh;
    fresh.node = NodeId{1 + random() % 999'999'999'999'999'999ULL};
    OUTCOME_TRY(fresh.save(data_dir));
    return fresh;
  }
  NodeIdentity out;
  std::string header;
  std::getline(file, header);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string key;
    fields >> key;
    if (key == "node") fields >> out.node.value;
    if (key == "cluster") fields >> out.cluster_uuid;
    if (key == "incarnation") fields >> out.cluster_incarnation;
  }
  if (header != kHeader || out.node.value == 0) {
    return failure(Code::kCorrupt,
                   "{} is damaged: restore it from a backup. Without it this node can't say "
                   "which node it is; its replicas are not lost",
                   path_in(data_dir));
  }
  return out;
}

Outcome<> NodeIdentity::save(const std::string& data_dir) const {
  const std::string text = fmt::format("{}\nnode {}\ncluster {}\nincarnation {}\n", kHeader,
                                       node.value, cluster_uuid, cluster_incarnation);
  if (replace_file_durably(path_in(data_dir), text)) return {};
  return failure(Code::kIoError, "cannot write {}: {}", path_in(data_dir), ::strerror(errno));
}

Outcome<NodeIdentity> join_cluster(const ControlContext& context, const NodeIdentity& known,
                                   const std::vector<LocalReplica>& replicas) {
  const std::string key = context.keys.cluster();
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    OUTCOME_ASSIGN(auto found, load<meta::Cluster>(context.store, key));
    if (!found && !known.cluster_uuid.empty()) {
      return failure(
          Code::kConflict,
          "etcd holds nothing of cluster \"{}\" ({}), to which this node belongs: it is another "
          "etcd, or it lost its data. Name the right endpoints, or restore it; if the data are "
          "lost, run `cleat cluster rebuild-metadata --force`",
          context.cluster, known.cluster_uuid);
    }
    meta::Cluster cluster;
    if (found) cluster = found->value;
    if (cluster.version() > kLayoutVersion) {
      return failure(Code::kUnsupported,
                     "etcd holds metadata of version {}, this cleatd knows {}: upgrade it",
                     cluster.version(), kLayoutVersion);
    }
    if (found && !known.cluster_uuid.empty() && cluster.uuid() != known.cluster_uuid) {
      return failure(
          Code::kConflict,
          "etcd holds another cluster under the name \"{}\" ({}), this node belongs to {}: name "
          "the right etcd, or give the clusters different names",
          context.cluster, cluster.uuid(), known.cluster_uuid);
    }
    if (found && cluster.incarnation() < known.cluster_incarnation) {
      return failure(
          Code::kConflict,
          "etcd was restored from an older backup: its incarnation is {}, this node has seen {}. "
          "Restore a newer one, or run `cleat cluster rebuild-metadata --force`",
          cluster.incarnation(), known.cluster_incarnation);
    }
    OUTCOME_TRY(check_epochs(context, replicas));
    if (!found) {
      cluster.set_version(kLayoutVersion);
      cluster.set_uuid(make_uuid(context));
      cluster.set_name(context.cluster);
      cluster.set_created_unix_ms(context.now_unix_ms());
    }
    cluster.set_incarnation(cluster.incarnation() + 1);
    auto done = context.store.commit(Txn{}
                                         .require(key, found ? found->revision : Revision{})
                                         .put(key, cluster.SerializeAsString()));
    if (done) return NodeIdentity{known.node, cluster.uuid(), cluster.incarnation()};
    if (done.error().code != Code::kConflict) return tl::unexpected(done.error());
  }
  return failure(Code::kTimedOut, "too many nodes join at once: trying again");
}

Outcome<NodeIdentity> adopt_cluster(const ControlContext& context, const NodeIdentity& known) {
  const std::string key = context.keys.cluster();
  OUTCOME_ASSIGN(auto found, load<meta::Cluster>(context.store, key));
  if (found && !known.cluster_uuid.empty() && found->value.uuid() != known.cluster_uuid) {
    return failure(Code::kConflict, "etcd holds another cluster ({}): nothing is changed",
                   found->value.uuid());
  }
  meta::Cluster cluster;
  if (found) cluster = found->value;
  cluster.set_version(kLayoutVersion);
  cluster.set_uuid(known.cluster_uuid.empty() ? make_uuid(context) : known.cluster_uuid);
  cluster.set_name(context.cluster);
  cluster.set_incarnation(std::max(cluster.incarnation(), known.cluster_incarnation) + 1);
  OUTCOME_TRY(context.store.commit(Txn{}
                                       .require(key, found ? found->revision : Revision{})
                                       .put(key, cluster.SerializeAsString())));
  return NodeIdentity{known.node, cluster.uuid(), cluster.incarnation()};
}

}  // namespace cleat::control
