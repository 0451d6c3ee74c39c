#include "node/open_volume.h"

namespace cleat::node {

OpenVolume::OpenVolume(std::unique_ptr<engine::Volume> volume, io::Executor& executor,
                       engine::ShareService& shares)
    : volume_(std::move(volume)), executor_(executor), shares_(shares) {}

OpenVolume::~OpenVolume() = default;

void OpenVolume::share() {
  if (shared_) return;
  shared_ = std::make_unique<engine::SharedVolume>(executor_, *volume_);
  shares_.add(volume_->record().id, *shared_);
  group_.spawn(shared_->run());
}

void OpenVolume::end_sharing() {
  if (!shared_) return;
  shares_.remove(volume_->record().id);
  shared_->end();
}

io::Task<void> OpenVolume::sharing_ended() {
  if (shared_) co_await shared_->drained();
  co_await group_.close();
}

io::Task<Result<void>> OpenVolume::detach() {
  end_sharing();
  auto detached = co_await volume_->detach();
  co_await sharing_ended();
  co_return detached;
}

io::Task<void> OpenVolume::stop() {
  end_sharing();
  co_await volume_->stop();
  co_await sharing_ended();
}

}  // namespace cleat::node
