// A file mapped and shared: what it holds outlives the process that writes it, whatever kills that.
#pragma once

#include <cstdint>
#include <string>

#include "common/buffer.h"
#include "common/result.h"

namespace cleat::frontend {

class MappedFile {
 public:
  // Makes the file, or makes it as large as `bytes`; its blocks read as zeros where it was never
  // written.
  static Result<MappedFile> open(const std::string& path, uint64_t bytes);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  MutableBuffer memory() { return {data_, bytes_}; }

 private:
  MappedFile(std::byte* data, size_t bytes) : data_(data), bytes_(bytes) {}

  std::byte* data_;
  size_t bytes_;
};

}  // namespace cleat::frontend
