// The two targets of a load: a raw file by io_uring with direct I/O, and an NBD server.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "bench/sketch/connection.h"
#include "bench/sketch/load.h"

namespace cleat::sketch {

inline constexpr unsigned kDepthMax = 256;

class FileTarget final : public Target {
 public:
  FileTarget(Ring& ring, const std::string& path);
  ~FileTarget() override;
  uint64_t size_bytes() const override { return size_bytes_; }
  void start(unsigned slot, Kind kind, uint64_t offset, std::byte* memory, uint32_t bytes) override;

 private:
  Ring& ring_;
  int fd_;
  uint64_t size_bytes_;
  std::deque<Operation> operations_;
};

// Any NBD server, not only the sketch's: the same generator for both sides of a ratio.
class NbdTarget final : public Target {
 public:
  NbdTarget(Ring& ring, const std::string& address, const std::string& export_name);
  uint64_t size_bytes() const override { return size_bytes_; }
  void start(unsigned slot, Kind kind, uint64_t offset, std::byte* memory, uint32_t bytes) override;

 private:
  struct Slot {
    Kind kind;
    std::byte* memory;
    uint32_t bytes;
  };
  Connection::Handler::Payload begin_reply(const Connection::Header& header);

  std::vector<Slot> slots_ = std::vector<Slot>(kDepthMax);
  unsigned replying_ = 0;
  std::byte nothing_{};
  uint64_t size_bytes_ = 0;
  std::unique_ptr<Connection> connection_;
};

}  // namespace cleat::sketch
