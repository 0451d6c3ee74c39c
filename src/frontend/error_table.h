// How an Error looks outside: the one table of this boundary. Every Code has a row.
#pragma once

#include <cstdint>

#include "common/result.h"

namespace cleat::frontend {

// For FUSE and for programs: a positive errno value.
int errno_of(const Error& error);

// For NBD: one of the few values its protocol knows (doc/proto.md, "Error values").
uint32_t nbd_error_of(const Error& error);

}  // namespace cleat::frontend
