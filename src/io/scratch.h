// Port: memory that outlives the process but not the machine's power (a file on tmpfs, mapped and
// locked). What an acknowledged but unflushed write has changed is noted here, so that a killed
// daemon loses nothing that was acknowledged, as a disk with a volatile cache would not when its
// host goes on.
//
// The bytes are zero when the area is new: after boot, or when the file was lost.
#pragma once

#include "common/buffer.h"

namespace cleat::io {

class Scratch {
 public:
  virtual ~Scratch() = default;
  // The whole area; its size never changes. Stores reach it in program order (one process, then,
  // after its death, another).
  virtual MutableBuffer memory() = 0;
};

}  // namespace cleat::io
