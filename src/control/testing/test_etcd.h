// For tests: a real etcd of one member on ports of 127.0.0.1 that were free a moment ago, with its
// data in a directory of its own. Gone with the object.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "control/etcd_meta_store.h"
#include "host/child_process.h"

namespace cleat::control {

inline uint16_t free_port() {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size), 0);
  ::close(fd);
  return ::ntohs(at.sin_port);
}

class TestDirectory {
 public:
  TestDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "cleat-control-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class TestEtcd {
 public:
  TestEtcd() : client_port_(free_port()), peer_port_(free_port()) { start(); }
  ~TestEtcd() { stop(); }

  std::string endpoint() const { return fmt::format("127.0.0.1:{}", client_port_); }

  void start() {
    const std::string client = "http://" + endpoint();
    const std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_);
    auto pid = host::start_child(
        {.argv = {"etcd", "--name", "t", "--data-dir", directory_.path() + "/data",
                  "--listen-client-urls", client, "--advertise-client-urls", client,
                  "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                  "--initial-cluster", "t=" + peer, "--logger", "zap"},
         .log_file = directory_.path() + "/log",
         .output_fd = -1});
    ASSERT_TRUE(pid) << pid.error().message;
    pid_ = *pid;
    for (int i = 0; i < 100; ++i) {
      auto up = store(500ms)->identity();
      if (up) return;
      std::this_thread::sleep_for(100ms);
    }
    FAIL() << "etcd did not start";
  }
  void stop() {
    if (pid_ != 0) host::stop_child(pid_, SIGKILL, 5s);
    pid_ = 0;
  }
  void suspend() { ::kill(pid_, SIGSTOP); }
  void resume() { ::kill(pid_, SIGCONT); }

  std::unique_ptr<EtcdMetaStore> store(Duration timeout = 3s) {
    auto made = EtcdMetaStore::create(
        {.endpoints = {endpoint()}, .attempt_timeout = timeout, .call_timeout = timeout});
    EXPECT_TRUE(made);
    return std::move(*made);
  }

 private:
  TestDirectory directory_;
  uint16_t client_port_;
  uint16_t peer_port_;
  pid_t pid_ = 0;
};

// True when `condition` holds within `limit`.
template <class Condition>
bool eventually(Condition condition, Duration limit = 10s) {
  for (auto end = std::chrono::steady_clock::now() + limit;
       std::chrono::steady_clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(20ms);
  }
  return condition();
}

}  // namespace cleat::control
