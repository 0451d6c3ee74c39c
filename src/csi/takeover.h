// A volume whose node is lost, or which was unpublished from a node that was away: taken from
// there.
// Ownership: borrows the client. Threading: any thread.
#pragma once

#include <string>
#include <vector>

#include "csi/cleatd.h"

namespace cleat::csi {

// Whether it may be taken from `node`, where it is attached: the note of kLabelUnpublished names
// it.
bool is_given_up(const api::Volume& volume, const std::string& node);

// Takes the nodes out of that note: the volume is no longer attached there.
Outcome<> forget_given_up(const Cleatd& cleatd, api::Volume volume,
                          const std::vector<std::string>& nodes);

// A takeover from `node` has begun and is not let go again: the primary may not have opened it yet.
bool is_being_taken(const api::Volume& volume, const std::string& node);

// Not when every replica that has all of the data is on `node` or out of reach: nobody can open the
// volume, and whoever can later must fence one of those first (R3).
bool can_be_taken(const api::Volume& volume, const std::string& node);

// From a node that is lost. Of a shared volume that others have: it is expelled, and where it was
// primary, one of those takes over. Else another node opens the volume, which fences the lost one
// (R3), and lets it go: it is attached nowhere then.
Outcome<> fence_from(const Cleatd& cleatd, const api::Volume& volume, const std::string& node,
                     const std::vector<api::Node>& nodes);

// From a node that is online: what still uses the device there gets errors. Of a shared volume also
// from one that is not: it is expelled.
Outcome<> detach_by_force(const Cleatd& cleatd, const api::Volume& volume, const std::string& node);

}  // namespace cleat::csi
