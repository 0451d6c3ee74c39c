// Work that must run on one node at a time: a key bound to a lease.
//
// Threading: one thread.
#pragma once

#include <memory>
#include <string>

#include "control/context.h"

namespace cleat::control {

class Election {
 public:
  Election(const ControlContext& context, std::string work)
      : context_(context), work_(std::move(work)) {}

  // Tries to become, or to stay, the one. Ask again before each piece of work: it is ours only
  // while the lease lives. What is done by compare-and-set stays safe even if it is lost in the
  // middle.
  bool holds();
  // Lets another node take over at once.
  void resign();

 private:
  const ControlContext& context_;
  std::string work_;
  std::unique_ptr<Lease> lease_;
  bool held_ = false;
};

}  // namespace cleat::control
