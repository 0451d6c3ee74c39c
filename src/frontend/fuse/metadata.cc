#include "frontend/fuse/metadata.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "common/units.h"

namespace cleat::fuse {
namespace {

constexpr uint32_t kMajor = 7;
constexpr uint32_t kMinor = 38;  // of <linux/fuse.h>; the newer flag works all the same
// Names and attributes never change but the size, which whoever grows the volume asks for anew.
constexpr uint64_t kValidSeconds = 24 * 3600;
constexpr uint16_t kRequestsMax = 256;  // asynchronous ones that the kernel sends at once

fuse_attr attributes(uint64_t node, uint64_t size_bytes) {
  bool is_disk = node == kDiskNode;
  fuse_attr attr{};
  attr.ino = node;
  attr.size = is_disk ? size_bytes : 0;
  attr.blocks = attr.size / 512;
  attr.mode = is_disk ? S_IFREG | 0600 : S_IFDIR | 0700;
  attr.nlink = is_disk ? 1 : 2;
  attr.blksize = kBlockSize;
  return attr;
}

bool is_known(uint64_t node) { return node == kRootNode || node == kDiskNode; }

Answer answer_init(const Request& request) {
  // The fields after flags came with 7.36; kernels before that send 16 bytes.
  fuse_init_in in{};
  if (request.body.size() < 4 * sizeof(uint32_t)) return Answer(request, EPROTO);
  std::memcpy(&in, request.body.data(), std::min(sizeof in, request.body.size()));
  fuse_init_out out{};
  out.major = kMajor;
  out.minor = kMinor;
  if (in.major > kMajor) return Answer(request, out);  // the kernel asks again, in our version
  if (in.major < kMajor) return Answer(request, EPROTO);
  constexpr uint32_t kWanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
                               FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_INIT_EXT;
  out.flags = in.flags & kWanted;
  if ((out.flags & FUSE_INIT_EXT) != 0) out.flags2 = in.flags2 & kHasResendFlag2;
  out.max_readahead = in.max_readahead;
  out.max_background = kRequestsMax;
  out.congestion_threshold = kRequestsMax;
  out.max_write = kWriteBytesMax;
  out.max_pages = kWriteBytesMax / kBlockSize;
  out.time_gran = 1;
  return Answer(request, out);
}

Answer answer_lookup(const Request& request, uint64_t size_bytes) {
  Result<std::string_view> name = request.as_name();
  if (!name) return Answer(request, EINVAL);
  if (request.header.nodeid != kRootNode || *name != kDiskName) return Answer(request, ENOENT);
  fuse_entry_out out{};
  out.nodeid = kDiskNode;
  out.generation = 1;
  out.entry_valid = kValidSeconds;
  out.attr_valid = kValidSeconds;
  out.attr = attributes(kDiskNode, size_bytes);
  return Answer(request, out);
}

Answer answer_attributes(const Request& request, uint64_t size_bytes) {
  if (!is_known(request.header.nodeid)) return Answer(request, ENOENT);
  fuse_attr_out out{};
  out.attr_valid = kValidSeconds;
  out.attr = attributes(request.header.nodeid, size_bytes);
  return Answer(request, out);
}

// The size belongs to the volume; whatever else one may set on a file is taken and forgotten.
Answer answer_setattr(const Request& request, uint64_t size_bytes) {
  Result<fuse_setattr_in> in = request.as<fuse_setattr_in>();
  if (!in) return Answer(request, EINVAL);
  if ((in->valid & FATTR_SIZE) != 0 && in->size != size_bytes) return Answer(request, EPERM);
  return answer_attributes(request, size_bytes);
}

Answer answer_open(const Request& request) {
  bool is_directory = request.is(FUSE_OPENDIR);
  if (request.header.nodeid != (is_directory ? kRootNode : kDiskNode))
    return Answer(request, EISDIR);
  fuse_open_out out{};
  // Nothing of a volume is ever cached in pages: the loop device above has its own.
  if (!is_directory) out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
  return Answer(request, out);
}

void add_entry(Answer& answer, uint64_t node, uint64_t next_offset, uint32_t type,
               std::string_view name) {
  fuse_dirent entry{};
  entry.ino = node;
  entry.off = next_offset;
  entry.namelen = static_cast<uint32_t>(name.size());
  entry.type = type;
  MutableBuffer room = answer.rest();
  std::memcpy(room.data(), &entry, FUSE_NAME_OFFSET);
  std::memcpy(room.data() + FUSE_NAME_OFFSET, name.data(), name.size());
  answer.grow(FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.size()));
}

Answer answer_readdir(const Request& request) {
  Result<fuse_read_in> in = request.as<fuse_read_in>();
  if (!in) return Answer(request, EINVAL);
  if (request.header.nodeid != kRootNode) return Answer(request, ENOTDIR);
  Answer answer(request, 0);
  if (in->offset > 0 || in->size < 128) return answer;
  add_entry(answer, kRootNode, 1, DT_DIR, ".");
  add_entry(answer, kRootNode, 2, DT_DIR, "..");
  add_entry(answer, kDiskNode, 3, DT_REG, kDiskName);
  return answer;
}

Answer answer_statfs(const Request& request, uint64_t size_bytes) {
  fuse_statfs_out out{};
  out.st.blocks = size_bytes / kBlockSize;
  out.st.bsize = kBlockSize;
  out.st.frsize = kBlockSize;
  out.st.files = 1;
  out.st.namelen = 255;
  return Answer(request, out);
}

}  // namespace

Answer::Answer(const Request& request, int error) {
  fuse_out_header header{static_cast<uint32_t>(size_), -error, request.header.unique};
  std::memcpy(bytes_.data(), &header, sizeof header);
}

void Answer::grow(size_t bytes) {
  size_ += bytes;
  auto length = static_cast<uint32_t>(size_);
  std::memcpy(bytes_.data(), &length, sizeof length);
}

bool is_silent(const Request& request) {
  return request.is(FUSE_FORGET) || request.is(FUSE_BATCH_FORGET) || request.is(FUSE_NOTIFY_REPLY);
}

Answer answer_metadata(const Request& request, uint64_t size_bytes) {
  switch (request.header.opcode) {
    case FUSE_INIT: return answer_init(request);
    case FUSE_LOOKUP: return answer_lookup(request, size_bytes);
    case FUSE_GETATTR: return answer_attributes(request, size_bytes);
    case FUSE_SETATTR: return answer_setattr(request, size_bytes);
    case FUSE_OPEN:
    case FUSE_OPENDIR: return answer_open(request);
    case FUSE_READDIR: return answer_readdir(request);
    case FUSE_STATFS: return answer_statfs(request, size_bytes);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_DESTROY: return Answer(request, 0);
    case FUSE_CREATE:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2: return Answer(request, EPERM);
  }
  // For most of the rest (INTERRUPT, FLUSH, GETXATTR, ...) the kernel never asks again after this.
  // An interrupted request is answered when it is done: it can't be taken back from the replicas.
  return Answer(request, ENOSYS);
}

}  // namespace cleat::fuse
