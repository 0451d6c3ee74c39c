// Small structured payloads: numbers little-endian one after the other, byte strings after their
// length.
//
// Threading: none, plain values. Ownership: both borrow the memory they are given.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "common/buffer.h"
#include "common/result.h"

namespace cleat::wire {

// Takes a payload apart. kCorrupt when it ends before the value asked for.
class Reader {
 public:
  explicit Reader(ConstBuffer bytes) : bytes_(bytes) {}

  Result<uint8_t> u8() { return number<uint8_t>(); }
  Result<uint16_t> u16() { return number<uint16_t>(); }
  Result<uint32_t> u32() { return number<uint32_t>(); }
  Result<uint64_t> u64() { return number<uint64_t>(); }
  // Exactly `size` bytes; a view into the payload.
  Result<ConstBuffer> bytes(size_t size) {
    if (size > remaining()) return fail(Code::kCorrupt, "payload ends early");
    ConstBuffer taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  // A length of 32 bits, then that many bytes. kLimit above `size_max`.
  Result<std::string_view> string(size_t size_max) {
    TRY_ASSIGN(uint32_t size, u32());
    if (size > size_max) return fail(Code::kLimit, "string in a payload above its limit");
    TRY_ASSIGN(ConstBuffer taken, bytes(size));
    return std::string_view(reinterpret_cast<const char*>(taken.data()), taken.size());
  }

  size_t remaining() const { return bytes_.size() - at_; }
  // kCorrupt when something is left over: the other side means more than we understand.
  Result<void> finish() const {
    if (remaining() != 0) return fail(Code::kCorrupt, "payload goes on after its last field");
    return {};
  }

 private:
  template <class T>
  Result<T> number() {
    if (sizeof(T) > remaining()) return fail(Code::kCorrupt, "payload ends early");
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  ConstBuffer bytes_;
  size_t at_ = 0;
};

// Puts a payload together in memory of a fixed size. A value that does not fit is left out, and
// finish() then says kLimit: callers write all fields and check once.
class Writer {
 public:
  explicit Writer(MutableBuffer into) : into_(into) {}

  void u8(uint8_t value) { number(value); }
  void u16(uint16_t value) { number(value); }
  void u32(uint32_t value) { number(value); }
  void u64(uint64_t value) { number(value); }
  void bytes(ConstBuffer from) { append(from.data(), from.size()); }
  void string(std::string_view text) {
    u32(static_cast<uint32_t>(text.size()));
    append(text.data(), text.size());
  }

  bool overflowed() const { return overflowed_; }
  size_t size() const { return at_; }
  // Bytes written. kLimit when something did not fit.
  Result<size_t> finish() const {
    if (overflowed_) return fail(Code::kLimit, "payload larger than its buffer");
    return at_;
  }

 private:
  template <class T>
  void number(T value) {
    append(&value, sizeof value);
  }
  void append(const void* from, size_t size) {
    if (overflowed_ || size > into_.size() - at_) {
      overflowed_ = true;
      return;
    }
    if (size != 0) std::memcpy(into_.data() + at_, from, size);
    at_ += size;
  }

  MutableBuffer into_;
  size_t at_ = 0;
  bool overflowed_ = false;
};

}  // namespace cleat::wire
