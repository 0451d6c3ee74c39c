// The NBD half of cleat-memory-device: one export on a few addresses.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frontend/nbd/server.h"
#include "io/uring_network.h"

namespace cleat::frontend {

class NbdService {
 public:
  NbdService(io::EventLoop& loop, io::BufferPool& pool, AlignedDevice& device, std::string name,
             nbd::ExportOptions options);
  io::Task<Result<void>> listen(std::vector<std::string> addresses);
  io::Task<void> close();

 private:
  io::UringNetwork network_;
  nbd::Export export_;
  nbd::ExportList directory_;
  nbd::Server server_;
};

}  // namespace cleat::frontend
