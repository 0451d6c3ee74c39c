// Finds, among the shared volumes that this node is the primary of, the one that a sharer asks for:
// over the wire, or from this process.
//
// Threading: the loop. Ownership: borrows everything; remove() a volume before it is drained.
#pragma once

#include <absl/container/flat_hash_map.h>

#include "engine/shared_volume.h"
#include "io/buffer_pool.h"
#include "wire/request_handler.h"

namespace cleat::engine {

class ShareService final : public wire::RequestHandler {
 public:
  // `others` answers what is no message of a sharer.
  ShareService(io::BufferPool& buffers, wire::RequestHandler& others)
      : buffers_(buffers), others_(others) {}

  void add(VolumeId id, SharedVolume& volume) { volumes_[id] = &volume; }
  void remove(VolumeId id) { volumes_.erase(id); }

  io::Task<wire::Reply> handle(wire::Message request) override;
  // As SharedVolume::call. kNotInSync: it is not served here.
  io::Task<Result<wire::Header>> call(NodeId sharer, const wire::Header& request,
                                      ConstBuffer payload, MutableBuffer into);

 private:
  io::Task<wire::Reply> answer(wire::Message request);

  io::BufferPool& buffers_;
  wire::RequestHandler& others_;
  absl::flat_hash_map<VolumeId, SharedVolume*> volumes_;
};

}  // namespace cleat::engine
