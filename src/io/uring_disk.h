// Disk over a file or a block device, by io_uring with direct I/O. See io/disk.h for the contract.
//
// The file is locked against other processes as long as the disk lives (flock for a file, an
// exclusive open for a block device).
//
// Threading: the loop's thread; open() may also be called before the loop runs.
// Ownership: borrows the loop, which outlives it; no operation is pending when it dies.
#pragma once

#include <memory>
#include <string>

#include "io/disk.h"
#include "io/event_loop.h"

namespace cleat::io {

class UringDisk final : public Disk {
 public:
  struct Options {
    // How long open() waits for a lock that another holds: a killed process that used io_uring
    // keeps its files open for a moment. It blocks the thread that long.
    Duration lock_wait = 2s;
  };

  // kNotFound; kBusy when another process uses it; kInvalidArgument for a directory, or a size
  // that is not a multiple of 4096; kUnsupported where there is no direct I/O; kPermission;
  // kIoError.
  static Result<std::unique_ptr<UringDisk>> open(EventLoop& loop, const std::string& path,
                                                 Options options);
  static Result<std::unique_ptr<UringDisk>> open(EventLoop& loop, const std::string& path) {
    return open(loop, path, Options{});
  }
  // Makes a new file of zeros, all of it written and durable when this returns. kAlreadyExists;
  // kInvalidArgument for a size that is not a positive multiple of 4096; else as grow(). A file
  // that could not be finished is removed.
  static Task<Result<std::unique_ptr<UringDisk>>> create(EventLoop& loop, std::string path,
                                                         uint64_t size_bytes);
  ~UringDisk() override;

  uint64_t size_bytes() const override { return size_bytes_; }
  Task<Result<void>> read(uint64_t offset, MutableBuffer into) override;
  Task<Result<void>> write(uint64_t offset, ConstBuffer from, WriteMode mode) override;
  Task<Result<void>> flush() override;
  // kBusy while another grow() runs. After an error, or a crash, the file may be larger than it
  // was, but never has a part that was not written.
  Task<Result<void>> grow(uint64_t new_size_bytes) override;

  bool is_block_device() const { return is_block_device_; }

 private:
  UringDisk(EventLoop& loop, int fd, uint64_t size_bytes, bool is_block_device);
  void target(UringOperation& operation) const;
  Result<void> check_range(uint64_t offset, size_t size) const;
  Task<Result<void>> write_unchecked(uint64_t offset, ConstBuffer from, int flags);
  Task<Result<void>> reserve(uint64_t offset, uint64_t bytes);
  Task<Result<void>> write_zeros(uint64_t from, uint64_t to);
  Task<Result<void>> sync(unsigned flags);

  EventLoop& loop_;
  int fd_;
  int slot_;  // in the loop's table of files, or -1
  uint64_t size_bytes_;
  bool is_block_device_;
  bool growing_ = false;
};

}  // namespace cleat::io
