#include "frontend/testing/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "io/file_descriptor.h"

namespace cleat::frontend {

Result<MappedFile> MappedFile::open(const std::string& path, uint64_t bytes) {
  io::FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) return fail(Code::kIoError, "cannot open the memory's file", errno);
  struct stat status{};
  if (::fstat(fd.get(), &status) < 0) return fail(Code::kIoError, "cannot stat it", errno);
  if (std::cmp_less(status.st_size, bytes) &&
      ::ftruncate(fd.get(), static_cast<off_t>(bytes)) < 0) {
    return fail(Code::kNoSpace, "cannot make the memory's file as large as the volume", errno);
  }
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return fail(Code::kLimit, "cannot map the memory's file", errno);
  return MappedFile(static_cast<std::byte*>(data), bytes);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace cleat::frontend
