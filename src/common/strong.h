// A number with a type of its own, so that two numbers of different meaning can't be swapped in a
// call.
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <utility>

namespace cleat {

template <class Tag, class Rep>
struct Strong {
  using rep = Rep;
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
  constexpr Strong next() const { return Strong(static_cast<Rep>(value + 1)); }

  template <class H>
  friend H AbslHashValue(H h, Strong s) {
    return H::combine(std::move(h), s.value);
  }
};

}  // namespace cleat

template <class Tag, class Rep>
struct std::hash<cleat::Strong<Tag, Rep>> {
  size_t operator()(cleat::Strong<Tag, Rep> s) const noexcept { return std::hash<Rep>{}(s.value); }
};
