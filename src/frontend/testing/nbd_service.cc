#include "frontend/testing/nbd_service.h"

#include "common/log.h"

namespace cleat::frontend {

NbdService::NbdService(io::EventLoop& loop, io::BufferPool& pool, AlignedDevice& device,
                       std::string name, nbd::ExportOptions options)
    : network_(loop),
      export_(loop, device, std::move(name), options),
      server_(loop, pool, directory_) {
  directory_.add(export_);
}

io::Task<Result<void>> NbdService::listen(std::vector<std::string> addresses) {
  for (const std::string& text : addresses) {
    io::Address address{text};
    CO_TRY_ASSIGN(std::unique_ptr<io::Listener> listener, co_await network_.listen(address));
    server_.serve(std::move(listener));
    LOG_INFO("NBD: export {} on {}", export_.name(), text);
  }
  co_return Result<void>{};
}

io::Task<void> NbdService::close() {
  co_await server_.close();
  co_await export_.close();
}

}  // namespace cleat::frontend
