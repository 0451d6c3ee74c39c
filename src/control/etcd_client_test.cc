// What people see when the endpoint is wrong.
#include "control/etcd_client.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include "api/control.grpc.pb.h"
#include "control/testing/test_etcd.h"

namespace cleat::control {
namespace {

Failure identity_failure(const std::string& endpoint) {
  auto store =
      EtcdMetaStore::create({.endpoints = {endpoint}, .attempt_timeout = 1s, .call_timeout = 1s});
  EXPECT_TRUE(store);
  auto identity = (*store)->identity();
  EXPECT_FALSE(identity);
  return identity ? Failure{} : identity.error();
}

TEST(EtcdEndpoints, AreReadWithAndWithoutScheme) {
  EXPECT_EQ(parse_etcd_endpoints("http://10.0.0.1:2379/, 10.0.0.2:2379").value(),
            (std::vector<std::string>{"10.0.0.1:2379", "10.0.0.2:2379"}));
  for (const char* bad :
       {"10.0.0.1", "10.0.0.1:", "10.0.0.1:99999", ":2379", "a b:1", "h:12x", "", ","}) {
    EXPECT_EQ(parse_etcd_endpoints(bad).error().code, Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(parse_etcd_endpoints("https://h:2379").error().code, Code::kUnsupported);
}

TEST(EtcdEndpoints, NobodyThere) {
  Failure failure = identity_failure(fmt::format("127.0.0.1:{}", free_port()));
  EXPECT_EQ(failure.code, Code::kUnreachable);
  EXPECT_NE(failure.message.find("can't be reached"), std::string::npos) << failure.message;
  EXPECT_NE(failure.message.find("option `etcd`"), std::string::npos) << failure.message;
}

TEST(EtcdEndpoints, AWebServerIsNotAnEtcd) {
  httplib::Server server;
  int port = server.bind_to_any_port("127.0.0.1");
  std::thread thread([&] { server.listen_after_bind(); });
  Failure failure = identity_failure(fmt::format("127.0.0.1:{}", port));
  EXPECT_EQ(failure.code, Code::kUnsupported) << failure.message;
  EXPECT_NE(failure.message.find("not as an etcd"), std::string::npos) << failure.message;
  server.stop();
  thread.join();
}

TEST(EtcdEndpoints, AnotherGrpcServerIsNotAnEtcd) {
  int port = 0;
  v1::Pools::Service other;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&other);
  auto server = builder.BuildAndStart();
  Failure failure = identity_failure(fmt::format("127.0.0.1:{}", port));
  EXPECT_EQ(failure.code, Code::kUnsupported) << failure.message;
  EXPECT_NE(failure.message.find("is not an etcd"), std::string::npos) << failure.message;
}

TEST(EtcdEndpoints, OneThatHangsIsTimedOut) {
  TestEtcd etcd;
  etcd.suspend();
  Failure failure = identity_failure(etcd.endpoint());
  EXPECT_TRUE(failure.code == Code::kTimedOut || failure.code == Code::kUnreachable);
  etcd.resume();
}

}  // namespace
}  // namespace cleat::control
