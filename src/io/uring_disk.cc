#include "io/uring_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "common/check.h"
#include "common/units.h"
#include "io/file_descriptor.h"

namespace cleat::io {
namespace {

constexpr uint64_t kZeroWriteBytes = kMiB;
constexpr uint32_t kTransferBytesMax = uint32_t{1}
                                       << 30;  // the kernel moves less than 2 GiB at once
constexpr Duration kLockRetry = 20ms;
constexpr Duration kAgainPause = 1ms;  // the device is out of requests: don't spin for one

tl::unexpected<Error> io_failure(const char* what, int negative_errno) {
  int number = -negative_errno;
  switch (number) {
    case ENOSPC:
    case EDQUOT: return fail(Code::kNoSpace, "the filesystem is full", number);
    case ECANCELED: return fail(Code::kCancelled, what, number);
    default: return fail(Code::kIoError, what, number);
  }
}

tl::unexpected<Error> open_failure(int number) {
  switch (number) {
    case ENOENT:
      return fail(Code::kNotFound,
                  "no such file or device: check the path, or create the pool first", number);
    case EEXIST:
      return fail(Code::kAlreadyExists, "the file exists: choose another path or remove it",
                  number);
    case EBUSY:
      return fail(Code::kBusy, "the device is in use by another process or mounted", number);
    case EACCES:
    case EPERM:
    case EROFS: return fail(Code::kPermission, "not allowed to open for writing", number);
    case EINVAL:
      return fail(Code::kUnsupported,
                  "no direct I/O here: use a block device or a file on ext4 or xfs", number);
    case EISDIR:
      return fail(Code::kInvalidArgument, "is a directory: give a file or a block device", number);
    case ENOSPC:
    case EDQUOT: return fail(Code::kNoSpace, "the filesystem is full", number);
    default: return fail(Code::kIoError, "cannot open", number);
  }
}

// Before the open: what opens as something else (a terminal, a tape) may act on it.
Result<void> check_type(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return open_failure(errno);
  if (S_ISDIR(status.st_mode)) return open_failure(EISDIR);
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return fail(Code::kInvalidArgument, "neither a file nor a block device");
  }
  return {};
}

Result<uint64_t> size_of(int fd, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  uint64_t bytes = 0;
  if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0) {
    return fail(Code::kIoError, "cannot read the size of the device", errno);
  }
  return bytes;
}

// O_EXCL without O_CREAT means "no other exclusive opener, not mounted" for a block device and
// nothing for a file.
Result<FileDescriptor> open_exclusive(const std::string& path, Duration wait) {
  constexpr int kFlags = O_RDWR | O_DIRECT | O_CLOEXEC | O_EXCL;
  for (Duration waited{};; waited += kLockRetry) {
    FileDescriptor fd(::open(path.c_str(), kFlags));
    int number = errno;
    if (fd.valid()) {
      struct stat status{};
      if (::fstat(fd.get(), &status) != 0) return fail(Code::kIoError, "cannot stat", errno);
      if (!S_ISREG(status.st_mode) || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
      number = errno == EWOULDBLOCK ? EBUSY : errno;
    }
    if (number != EBUSY || waited >= wait) return open_failure(number);
    std::this_thread::sleep_for(kLockRetry);
  }
}

Result<void> sync_directory_of(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  const char* name = directory.empty() ? "." : directory.c_str();
  FileDescriptor fd(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0) {
    return fail(Code::kIoError, "cannot make the new file's name durable", errno);
  }
  return {};
}

}  // namespace

// ---- open, create -------------------------------------------------------------------------------

Result<std::unique_ptr<UringDisk>> UringDisk::open(EventLoop& loop, const std::string& path,
                                                   Options options) {
  TRY(check_type(path));
  TRY_ASSIGN(FileDescriptor fd, open_exclusive(path, options.lock_wait));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail(Code::kIoError, "cannot stat", errno);
  TRY_ASSIGN(uint64_t size, size_of(fd.get(), status));
  if (size % kBlockSize != 0) {
    return fail(Code::kInvalidArgument, "the size is not a multiple of 4096 bytes");
  }
  bool is_block_device = S_ISBLK(status.st_mode);
  return std::unique_ptr<UringDisk>(new UringDisk(loop, fd.release(), size, is_block_device));
}

Task<Result<std::unique_ptr<UringDisk>>> UringDisk::create(EventLoop& loop, std::string path,
                                                           uint64_t size_bytes) {
  if (size_bytes == 0 || size_bytes % kBlockSize != 0) {
    co_return fail(Code::kInvalidArgument, "the size is not a positive multiple of 4096 bytes");
  }
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC | O_CREAT | O_EXCL, 0600));
  if (!fd.valid()) co_return open_failure(errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    co_return fail(Code::kBusy, "another process locked the new file first", errno);
  }
  std::unique_ptr<UringDisk> disk(new UringDisk(loop, fd.release(), 0, false));
  Result<void> made = co_await disk->grow(size_bytes);
  if (made) made = sync_directory_of(path);
  if (!made) {
    ::unlink(path.c_str());
    co_return fail(made.error());
  }
  co_return disk;
}

UringDisk::UringDisk(EventLoop& loop, int fd, uint64_t size_bytes, bool is_block_device)
    : loop_(loop),
      fd_(fd),
      slot_(loop.register_file(fd)),
      size_bytes_(size_bytes),
      is_block_device_(is_block_device) {}

UringDisk::~UringDisk() {
  loop_.unregister_file(slot_);
  // The kernel may hold the file a little longer for the ring; the lock goes now.
  if (!is_block_device_) ::flock(fd_, LOCK_UN);
  ::close(fd_);
}

// ---- transfers ----------------------------------------------------------------------------------

// The prep function has put fd_ in: a registered file spares the kernel a look-up and its
// reference.
void UringDisk::target(UringOperation& operation) const {
  if (slot_ < 0) return;
  operation.sqe().fd = slot_;
  operation.sqe().flags |= IOSQE_FIXED_FILE;
}

Result<void> UringDisk::check_range(uint64_t offset, size_t size) const {
  if (offset > size_bytes_ || size > size_bytes_ - offset) {
    return fail(Code::kOutOfRange, "beyond the end of the disk");
  }
  return {};
}

Task<Result<void>> UringDisk::read(uint64_t offset, MutableBuffer into) {
  CO_TRY(check_range(offset, into.size()));
  UringOperation operation(loop_);
  while (!into.empty()) {
    auto size = static_cast<uint32_t>(std::min<size_t>(into.size(), kTransferBytesMax));
    io_uring_prep_read(&operation.sqe(), fd_, into.data(), size, offset);
    target(operation);
    int result = co_await operation;
    if (result == -EAGAIN) co_await loop_.sleep(kAgainPause);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result < 0) co_return io_failure("cannot read", result);
    if (result == 0) co_return fail(Code::kIoError, "the file is shorter than it was when opened");
    into = into.subspan(static_cast<size_t>(result));
    offset += static_cast<uint64_t>(result);
  }
  co_return Result<void>{};
}

Task<Result<void>> UringDisk::write(uint64_t offset, ConstBuffer from, WriteMode mode) {
  CO_TRY(check_range(offset, from.size()));
  Result<void> result =
      co_await write_unchecked(offset, from, mode == WriteMode::kDurable ? RWF_DSYNC : 0);
  co_return result;
}

Task<Result<void>> UringDisk::write_unchecked(uint64_t offset, ConstBuffer from, int flags) {
  UringOperation operation(loop_);
  while (!from.empty()) {
    auto size = static_cast<uint32_t>(std::min<size_t>(from.size(), kTransferBytesMax));
    io_uring_prep_write(&operation.sqe(), fd_, from.data(), size, offset);
    operation.sqe().rw_flags = flags;
    target(operation);
    int result = co_await operation;
    if (result == -EAGAIN) co_await loop_.sleep(kAgainPause);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result < 0) co_return io_failure("cannot write", result);
    if (result == 0) co_return fail(Code::kIoError, "the device takes no more data");
    from = from.subspan(static_cast<size_t>(result));
    offset += static_cast<uint64_t>(result);
  }
  co_return Result<void>{};
}

Task<Result<void>> UringDisk::flush() {
  Task<Result<void>> synced = sync(IORING_FSYNC_DATASYNC);
  Result<void> result = co_await std::move(synced);
  co_return result;
}

Task<Result<void>> UringDisk::sync(unsigned flags) {
  UringOperation operation(loop_);
  int result = -EINTR;
  while (result == -EINTR) {
    io_uring_prep_fsync(&operation.sqe(), fd_, flags);
    target(operation);
    result = co_await operation;
  }
  if (result < 0) co_return io_failure("cannot flush", result);
  co_return Result<void>{};
}

// ---- growth -------------------------------------------------------------------------------------

// The space is reserved beyond the end of the file and the writes move the end: at any moment
// everything inside the file was written, also after a crash.
Task<Result<void>> UringDisk::grow(uint64_t new_size_bytes) {
  if (is_block_device_) co_return fail(Code::kUnsupported, "a block device does not grow");
  if (new_size_bytes % kBlockSize != 0 || new_size_bytes < size_bytes_) {
    co_return fail(Code::kInvalidArgument, "a disk grows to a larger multiple of 4096 bytes");
  }
  if (growing_) co_return fail(Code::kBusy, "the disk is growing already");
  growing_ = true;
  Result<void> result = co_await reserve(size_bytes_, new_size_bytes - size_bytes_);
  if (result) result = co_await write_zeros(size_bytes_, new_size_bytes);
  if (result) result = co_await sync(0);
  growing_ = false;
  if (result) size_bytes_ = new_size_bytes;
  co_return result;
}

Task<Result<void>> UringDisk::reserve(uint64_t offset, uint64_t bytes) {
  if (bytes == 0) co_return Result<void>{};
  UringOperation operation(loop_);
  int result = -EINTR;
  while (result == -EINTR) {
    io_uring_prep_fallocate(&operation.sqe(), fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                            static_cast<off_t>(bytes));
    target(operation);
    result = co_await operation;
  }
  // Without fallocate the writes themselves reserve the space.
  if (result < 0 && result != -EOPNOTSUPP) co_return io_failure("cannot reserve space", result);
  co_return Result<void>{};
}

Task<Result<void>> UringDisk::write_zeros(uint64_t from, uint64_t to) {
  AlignedBuffer zeros(std::min(kZeroWriteBytes, to - from));
  std::memset(zeros.data(), 0, zeros.size());
  while (from < to) {
    ConstBuffer part =
        std::as_const(zeros).span().first(std::min<uint64_t>(zeros.size(), to - from));
    Result<void> written = co_await write_unchecked(from, part, 0);
    CO_TRY(written);
    from += part.size();
  }
  co_return Result<void>{};
}

}  // namespace cleat::io
