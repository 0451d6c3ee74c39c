#include "io/mapped_scratch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "common/units.h"

namespace cleat::io {
namespace {

constexpr Duration kLockRetry = 20ms;

Result<void> check_filesystem(int fd) {
  struct statfs filesystem{};
  if (::fstatfs(fd, &filesystem) != 0) return fail(Code::kIoError, "cannot statfs", errno);
  if (filesystem.f_type != TMPFS_MAGIC && filesystem.f_type != RAMFS_MAGIC) {
    return fail(
        Code::kUnsupported,
        "the scratch area must be on tmpfs, which loses it with the machine's power: use a run_dir "
        "under /run");
  }
  return {};
}

Result<void> lock(int fd, Duration wait) {
  for (Duration waited{}; ::flock(fd, LOCK_EX | LOCK_NB) != 0; waited += kLockRetry) {
    if (errno != EWOULDBLOCK) return fail(Code::kIoError, "cannot lock the scratch area", errno);
    if (waited >= wait) return fail(Code::kBusy, "another process uses the scratch area");
    std::this_thread::sleep_for(kLockRetry);
  }
  return {};
}

// Reserves every page now: a store into a page that tmpfs can't give later would be a SIGBUS.
Result<void> give_size(int fd, size_t size_bytes) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail(Code::kIoError, "cannot stat", errno);
  auto size = static_cast<off_t>(size_bytes);
  // Size zero is a file whose maker died before it gave it one.
  if (status.st_size != 0 && status.st_size != size) {
    return fail(Code::kInvalidArgument,
                "there is a scratch area of another size: remove it only after a clean stop");
  }
  if (::fallocate(fd, 0, 0, size) != 0) {
    return fail(errno == ENOSPC ? Code::kNoSpace : Code::kIoError,
                "cannot reserve the scratch area", errno);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<MappedScratch>> MappedScratch::open(const std::string& path,
                                                           size_t size_bytes, Duration lock_wait) {
  if (size_bytes == 0 || size_bytes % kBlockSize != 0) {
    return fail(Code::kInvalidArgument, "the size is not a positive multiple of 4096 bytes");
  }
  bool existed = ::access(path.c_str(), F_OK) == 0;
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return fail(Code::kIoError, "cannot open or make the scratch area", errno);
  if (Result<void> checked = check_filesystem(file.get()); !checked) {
    if (!existed) ::unlink(path.c_str());
    return fail(checked.error());
  }
  TRY(lock(file.get(), lock_wait));
  TRY(give_size(file.get(), size_bytes));
  void* memory =
      ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
  if (memory == MAP_FAILED) return fail(Code::kIoError, "cannot map the scratch area", errno);
  // Best effort: without the right to lock (RLIMIT_MEMLOCK) the pages are at least there now.
  static_cast<void>(::mlock(memory, size_bytes));
  return std::unique_ptr<MappedScratch>(
      new MappedScratch(std::move(file), static_cast<std::byte*>(memory), size_bytes));
}

MappedScratch::MappedScratch(FileDescriptor file, std::byte* memory, size_t size_bytes)
    : file_(std::move(file)), memory_(memory), size_bytes_(size_bytes) {}

MappedScratch::~MappedScratch() { ::munmap(memory_, size_bytes_); }

}  // namespace cleat::io
