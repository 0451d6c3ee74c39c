// Golden texts of what people read.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/errors.h"
#include "cli/fake_cluster.h"
#include "cli/format.h"
#include "cli/status_print.h"
#include "cli/table.h"
#include "cli/volume_print.h"

namespace cleat::cli {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr int64_t kTime = 1534573835000;  // Aug 18 06:30:35 UTC 2018

api::ResyncProgress sample_progress() {
  api::ResyncProgress progress;
  progress.set_volume("data1");
  progress.set_to_node("node3");
  progress.set_percent(41.0);
  progress.set_done_bytes(2 * kGiB);
  progress.set_total_bytes(5 * kGiB);
  progress.set_bytes_per_second(uint64_t{210} << 20);
  progress.set_seconds_left(75);
  return progress;
}

TEST(Format, Words) {
  EXPECT_EQ(word(api::REPLICA_STATE_IN_SYNC), "in_sync");
  EXPECT_EQ(word(api::VOLUME_STATUS_UNSPECIFIED), "-");
  EXPECT_EQ(word(api::ALERT_SEVERITY_ALARM), "alarm");
  EXPECT_EQ(io_priority_of("high"), api::IO_PRIORITY_HIGH);
  EXPECT_EQ(io_profile_of(""), api::IO_PROFILE_UNSPECIFIED);
}

TEST(Format, TimesAndProgress) {
  EXPECT_EQ(format_time(0), "never");
  EXPECT_EQ(format_time(kTime), "Aug 18 06:30:35 UTC 2018");
  EXPECT_EQ(format_seconds(59), "59 s");
  EXPECT_EQ(format_seconds(200), "3 min 20 s");
  EXPECT_EQ(format_seconds(7500), "2 h 5 min");
  EXPECT_EQ(format_seconds(90000), "1 d 1 h");
  EXPECT_EQ(format_progress(sample_progress()),
            "41.0 % (2 GiB of 5 GiB), 210 MiB/s, 1 min 15 s left");
  auto waiting = sample_progress();
  waiting.set_bytes_per_second(0);
  EXPECT_EQ(format_progress(waiting), "41.0 % (2 GiB of 5 GiB)");
}

TEST(Format, FindingsAreSentences) {
  api::Finding finding;
  finding.set_what("Volume data1 has 1 of 2 replicas in sync");
  EXPECT_EQ(finding_text(finding), "Volume data1 has 1 of 2 replicas in sync.");
  finding.set_why("node node3 has not answered for 12 s.");
  finding.set_doing("copying to node3");
  *finding.mutable_resync() = sample_progress();
  EXPECT_EQ(
      finding_text(finding),
      "Volume data1 has 1 of 2 replicas in sync, because node node3 has not answered for 12 s. "
      "Copying to node3: 41.0 % (2 GiB of 5 GiB), 210 MiB/s, 1 min 15 s left.");
}

TEST(Format, ReplicaAndReplicationStatus) {
  auto volume = sample_volume("1", "a");
  volume.add_replicas()->set_state(api::REPLICA_STATE_IN_SYNC);
  volume.add_replicas()->set_state(api::REPLICA_STATE_STALE);
  volume.mutable_replicas(0)->set_reachable(true);
  EXPECT_EQ(replica_status(volume.replicas(0)), "In sync");
  EXPECT_EQ(replica_status(volume.replicas(1)), "Stale, its node does not answer");
  EXPECT_EQ(replication_status(volume), "Up");
  volume.set_status(api::VOLUME_STATUS_DEGRADED);
  EXPECT_EQ(replication_status(volume), "Degraded: 1 of 2 replicas in sync");
  *volume.mutable_replicas(1)->mutable_resync() = sample_progress();
  EXPECT_EQ(replication_status(volume), "Resync");
  volume.set_status(api::VOLUME_STATUS_DOWN);
  EXPECT_EQ(replication_status(volume), "Down");
}

TEST(Table, AlignsByLettersAndTrimsLines) {
  Table table({"A", "LONG NAME"});
  table.add({"\xc3\xa4\xc3\xb6", "x"});
  table.add({"abc"});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "A    LONG NAME\n\xc3\xa4\xc3\xb6   x\nabc\n");
}

api::Volume resyncing_volume() {
  auto volume = sample_volume("1125771388930868153", "data1");
  attach_sample(volume, "node1", "10.0.0.1", true);
  volume.set_created_unix_ms(kTime);
  volume.set_last_attached_unix_ms(kTime);
  volume.set_epoch(7);
  (*volume.mutable_labels())["app"] = "cassandra";
  volume.mutable_usage()->set_used_bytes(33 << 20);
  volume.mutable_usage()->set_shared_bytes(1 << 20);
  volume.set_status(api::VOLUME_STATUS_DEGRADED);
  auto* here = volume.add_replicas();
  here->set_node("node1");
  here->set_address("10.0.0.1");
  here->set_pool_id("71");
  here->set_pool_class("ssd");
  here->set_state(api::REPLICA_STATE_IN_SYNC);
  here->set_reachable(true);
  auto* there = volume.add_replicas();
  *there = *here;
  there->set_node("node3");
  there->set_address("10.0.0.3");
  there->set_pool_id("73");
  there->set_state(api::REPLICA_STATE_STALE);
  *there->mutable_resync() = sample_progress();
  return volume;
}

TEST(VolumeInspect, SaysHowAVolumeFollows) {
  auto volume = sample_volume("1", "data1");
  auto printed = [&] {
    std::ostringstream out;
    print_volume(out, volume, nullptr);
    return out.str();
  };
  EXPECT_EQ(printed().find("Follow"), std::string::npos);
  volume.set_follow(true);
  EXPECT_NE(printed().find("\tFollow               : on\n"), std::string::npos) << printed();
  volume.set_following("copying to node3");
  EXPECT_NE(printed().find("\tFollow               : on: copying to node3\n"), std::string::npos);
}

TEST(VolumeInspect, NamesEveryNodeOfASharedVolume) {
  auto volume = sample_volume("1", "data1");
  volume.set_shared(true);
  attach_sample(volume, "node1", "10.0.0.1", true);
  auto* other = volume.add_shared_attachments();
  *other = volume.attachment();
  other->set_node("node2");
  other->set_address("10.0.0.2");
  other->add_mount_paths("/mnt/a");
  auto* gone = volume.add_shared_attachments();
  *gone = volume.attachment();
  gone->set_node_online(false);
  auto printed = [&] {
    std::ostringstream out;
    print_volume(out, volume, nullptr);
    return out.str();
  };
  const std::string others = R"(	Attached also on nodes:
		node2 (10.0.0.2): /dev/cleat/data1, mounted on /mnt/a
		node1 (10.0.0.1), a node that is gone: /dev/cleat/data1
)";
  EXPECT_NE(printed().find("Attached: node1 (10.0.0.1)\n"), std::string::npos);
  EXPECT_NE(printed().find(others), std::string::npos) << printed();
  volume.clear_attachment();
  EXPECT_NE(printed().find("Attached: without a primary at the moment\n"), std::string::npos);
  EXPECT_NE(printed().find(others), std::string::npos) << printed();
}

TEST(VolumeInspect, PrintsLikePxctl) {
  api::VolumeStatsResponse stats;
  stats.set_reads(12);
  stats.set_read_bytes(49152);
  stats.set_write_ns(2'500'000);
  std::ostringstream out;
  print_volume(out, resyncing_volume(), &stats);
  EXPECT_EQ(out.str(), R"(Volume : 1125771388930868153
	Name                 : data1
	Size                 : 10 GiB
	Format               : ext4
	HA                   : 2
	IO Priority          : LOW
	IO Profile           : auto
	Creation time        : Aug 18 06:30:35 UTC 2018
	Shared               : no
	Encrypted            : no
	Scale                : 1
	Status               : degraded
	State                : Attached: node1 (10.0.0.1)
	Last attached        : Aug 18 06:30:35 UTC 2018
	Frontend             : FUSE
	Device Path          : /dev/cleat/data1
	Data is local        : yes
	Epoch                : 7
	Labels               : app=cassandra
	Reads                : 12
	Reads MS             : 0
	Bytes Read           : 49152
	Writes               : 0
	Writes MS            : 2
	Bytes Written        : 0
	IOs in progress      : 0
	Bytes used           : 33 MiB
	Bytes shared         : 1 MiB
	Bytes in snapshots   : 0 B
	Bytes reclaimable    : 0 B
	Replica sets on nodes:
		Set 0
			Node : 10.0.0.1 (Pool 71 ssd)
			Name : node1
			State: In sync
			Node : 10.0.0.3 (Pool 73 ssd)
			Name : node3
			State: Resync 41.0 % (2 GiB of 5 GiB), 210 MiB/s, 1 min 15 s left
	Replication Status   : Resync
)");
}

api::StatusResponse sample_status() {
  api::StatusResponse status;
  status.set_cluster("cleat");
  status.set_cluster_id("abc");
  status.set_version("0.1.0");
  status.set_health(api::HEALTH_OK);
  status.set_this_node("node1");
  status.set_this_node_id("11");
  status.mutable_metadata()->set_embedded(true);
  status.mutable_metadata()->set_reachable(true);
  status.mutable_metadata()->add_members()->set_healthy(true);
  auto* node = status.add_nodes();
  node->set_id("11");
  node->set_name("node1");
  node->set_address("10.0.0.1");
  node->set_version("0.1.0");
  node->set_state(api::NODE_STATE_ONLINE);
  node->mutable_capacity()->set_total_bytes(10 * kGiB);
  node->mutable_capacity()->set_used_bytes(kGiB);
  auto* pool = node->add_pools();
  pool->set_id("71");
  pool->set_node("node1");
  pool->set_path("/var/lib/cleat/pool0");
  pool->set_state(api::POOL_STATE_ONLINE);
  *pool->mutable_capacity() = node->capacity();
  *status.mutable_capacity() = node->capacity();
  status.mutable_volumes()->set_total(2);
  status.mutable_volumes()->set_attached(1);
  return status;
}

TEST(Status, WhenAllIsWell) {
  std::ostringstream out;
  print_status(out, sample_status());
  EXPECT_EQ(out.str(), R"(Status: Cleat is operational
Cluster: cleat (abc)
This node: node1 (11), cleatd 0.1.0
Metadata: embedded etcd, 1 of 1 members healthy
Volumes: 2 (1 attached, 0 degraded, 0 down), 0 snapshots
Capacity: 1 GiB of 10 GiB (10 %) used, 0 B free, 0 B provisioned

Nodes:
ID  NAME   ADDRESS   RACK  ZONE  POOLS  USED   CAPACITY  REPLICAS  ATTACHED  VERSION  STATE
11  node1  10.0.0.1  -     -     1      1 GiB  10 GiB    0         0         0.1.0    online

Pools:
ID  NODE   PATH                  CLASS  CAPACITY  USED   FREE  PROVISIONED  RECLAIMABLE  REPLICAS  STATE
71  node1  /var/lib/cleat/pool0  -      10 GiB    1 GiB  0 B   0 B          0 B          0         online

Nothing needs attention.
)");
}

TEST(Status, SaysWhatIsDegradedWhyAndWhatIsDone) {
  auto status = sample_status();
  status.set_health(api::HEALTH_DEGRADED);
  status.mutable_metadata()->set_reachable(false);
  status.mutable_metadata()->set_problem("connection refused");
  auto* finding = status.add_findings();
  finding->set_what("Volume data1 has 1 of 2 replicas in sync");
  finding->set_why("node node3 was away for 12 s");
  finding->set_doing("Copying to node3");
  *finding->mutable_resync() = sample_progress();
  std::ostringstream out;
  print_status(out, status);
  EXPECT_NE(out.str().find("Status: Cleat is operational, degraded: see below\n"),
            std::string::npos);
  EXPECT_NE(out.str().find("not reachable (connection refused): attached volumes go on"),
            std::string::npos);
  EXPECT_NE(out.str().find("Volumes, nodes and pools: not known"), std::string::npos);
  EXPECT_EQ(out.str().find("Pools: none"), std::string::npos) << "nobody knows";
  EXPECT_NE(out.str().find(
                "\nWhat is not as it should be:\n  1. Volume data1 has 1 of 2 replicas in sync, "
                "because node node3 was away for 12 s. Copying to node3: 41.0 % (2 GiB of 5 GiB), "
                "210 MiB/s, 1 min 15 s left.\n"),
            std::string::npos)
      << out.str();
}

TEST(Json, HasEveryFieldInItsType) {
  auto volume = sample_volume("1", "a");
  (*volume.mutable_labels())["k"] = "v";
  volume.add_replicas()->set_state(api::REPLICA_STATE_IN_SYNC);
  auto json = to_json(volume);
  EXPECT_EQ(json["labels"]["k"], "v");
  EXPECT_EQ(json["replicas"][0]["state"], "in_sync");
  EXPECT_EQ(json["replicas"][0]["reachable"], false);
  EXPECT_TRUE(json["size_bytes"].is_number_unsigned());
  EXPECT_TRUE(json["attachment"].is_null());
  EXPECT_TRUE(json["snapshots"].is_array());
  EXPECT_EQ(json["io_priority"], "low");
  std::ostringstream out;
  print_json(out, nlohmann::ordered_json{{"x", "\xff"}});  // not UTF-8: replaced, not thrown
  EXPECT_FALSE(out.str().empty());
}

TEST(Errors, EveryStatusHasACodeAndASentence) {
  for (int code = 1; code <= static_cast<int>(grpc::StatusCode::UNAUTHENTICATED); ++code) {
    CallFailure failure{grpc::Status(static_cast<grpc::StatusCode>(code), "x"), "", "here", 5s};
    auto problem = problem_from(failure);
    EXPECT_FALSE(problem.code.empty()) << code;
    EXPECT_NE(problem.message.find("cleatd at here"), std::string::npos) << problem.message;
    failure.cleat_code = "in use";
    failure.status = grpc::Status(static_cast<grpc::StatusCode>(code), "the sentence");
    EXPECT_EQ(problem_from(failure).message, "the sentence");
    EXPECT_EQ(problem_from(failure).code, "in use");
  }
  EXPECT_EQ(one_line("a\nb\tc\n"), "a b c");
}

TEST(Address, IsReadInEveryForm) {
  EXPECT_EQ(grpc_address("/run/x.sock"), "unix:/run/x.sock");
  EXPECT_EQ(grpc_address("unix:/run/x.sock"), "unix:/run/x.sock");
  EXPECT_EQ(grpc_address("node1"), "node1:9471");
  EXPECT_EQ(grpc_address("node1:80"), "node1:80");
  EXPECT_EQ(grpc_address("::1"), "[::1]:9471");
  EXPECT_EQ(grpc_address("[::1]:80"), "[::1]:80");
  EXPECT_EQ(grpc_address("[::1]"), "[::1]:9471");
}

}  // namespace
}  // namespace cleat::cli
