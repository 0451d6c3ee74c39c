// CHECK(condition, "why this must hold"): a broken invariant of our own. On in release; aborts.
// Never for bad bytes from disk, wire or user: those are a Result.
#pragma once

namespace cleat {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* why);
}

#define CHECK(condition, why)                                     \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::cleat::check_failed(__FILE__, __LINE__, #condition, why); \
  } while (false)
