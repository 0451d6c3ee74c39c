// A volume whose node is lost, or which was unpublished from a node that was away: taken from
// there.
// Ownership: borrows the client. Threading: any thread.
#pragma once

#include <vector>

#include "csi/cleatd.h"

namespace cleat::csi {

// Whether it may be taken from the node it is attached to: the note of kLabelUnpublished names it.
bool is_given_up(const api::Volume& volume);

// A takeover has begun and is not let go again: the node may not have opened it yet.
bool is_being_taken(const api::Volume& volume);

// Another node opens it, which fences the lost one (R3), and lets it go: it is attached nowhere
// then.
Outcome<> take_from_lost_node(const Cleatd& cleatd, const api::Volume& volume,
                              const std::vector<api::Node>& nodes);

// From a node that is online: what still uses the device there gets errors.
Outcome<> detach_by_force(const Cleatd& cleatd, const api::Volume& volume);

}  // namespace cleat::csi
