// A set of members of a volume, by index.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

#include "core/types.h"

namespace cleat::core {

class MemberSet {
 public:
  class Iterator {
   public:
    explicit constexpr Iterator(uint32_t bits) : bits_(bits) {}
    constexpr MemberIndex operator*() const {
      return static_cast<MemberIndex>(std::countr_zero(bits_));
    }
    constexpr Iterator& operator++() {
      bits_ &= bits_ - 1;
      return *this;
    }
    constexpr bool operator!=(const Iterator& other) const { return bits_ != other.bits_; }

   private:
    uint32_t bits_;
  };

  constexpr MemberSet() = default;
  constexpr MemberSet(std::initializer_list<MemberIndex> members) {
    for (MemberIndex member : members) add(member);
  }

  constexpr bool contains(MemberIndex member) const { return (bits_ & bit(member)) != 0; }
  constexpr void add(MemberIndex member) { bits_ |= bit(member); }
  constexpr void remove(MemberIndex member) { bits_ &= ~bit(member); }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr int count() const { return std::popcount(bits_); }
  constexpr MemberIndex first() const { return empty() ? kNoMember : *begin(); }

  constexpr MemberSet operator|(MemberSet other) const { return MemberSet(bits_ | other.bits_); }
  constexpr MemberSet operator&(MemberSet other) const { return MemberSet(bits_ & other.bits_); }
  constexpr MemberSet operator-(MemberSet other) const { return MemberSet(bits_ & ~other.bits_); }
  constexpr bool operator==(const MemberSet&) const = default;

  constexpr Iterator begin() const { return Iterator(bits_); }
  constexpr Iterator end() const { return Iterator(0); }

 private:
  constexpr explicit MemberSet(uint32_t bits) : bits_(bits) {}
  static constexpr uint32_t bit(MemberIndex member) {
    return member < 32 ? uint32_t{1} << member : 0;
  }
  uint32_t bits_ = 0;
};

}  // namespace cleat::core
