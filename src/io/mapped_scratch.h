// Scratch as a file on tmpfs, mapped and, where the limits allow, locked. It lives exactly as long
// as the machine's power, since nothing else does on tmpfs: any other filesystem is refused.
//
// Threading: none of its own. Ownership: the mapping goes with the object, the file stays.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/result.h"
#include "common/time.h"
#include "io/file_descriptor.h"
#include "io/scratch.h"

namespace cleat::io {

class MappedScratch final : public Scratch {
 public:
  // Opens the area, or makes it, zeroed and with its memory reserved. kUnsupported when `path` is
  // not on tmpfs; kInvalidArgument when there is one of another size, or `size_bytes` is not a
  // positive multiple of 4096; kBusy while another process has it (waits `lock_wait`, blocking,
  // for one that was killed); kNoSpace; kIoError.
  static Result<std::unique_ptr<MappedScratch>> open(const std::string& path, size_t size_bytes,
                                                     Duration lock_wait = std::chrono::seconds(2));
  ~MappedScratch() override;

  MutableBuffer memory() override { return {memory_, size_bytes_}; }

 private:
  MappedScratch(FileDescriptor file, std::byte* memory, size_t size_bytes);

  FileDescriptor file_;  // holds the lock
  std::byte* memory_;
  size_t size_bytes_;
};

}  // namespace cleat::io
