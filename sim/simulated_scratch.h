// Memory that survives the death of a process but not the loss of power.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "io/scratch.h"

namespace cleat::sim {

class SimulatedScratch : public io::Scratch {
 public:
  explicit SimulatedScratch(size_t size) : bytes_(size) {}
  explicit SimulatedScratch(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  MutableBuffer memory() override { return bytes_; }
  // What the next process finds after this one was killed now. After power loss: a new area of the
  // same size.
  std::vector<std::byte> contents() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace cleat::sim
