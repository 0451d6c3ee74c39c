// A volume that no other call of this process works on.
//
// Threading: any thread. Ownership: borrows what it is given; the turn ends with the value.
#pragma once

#include "csi/cleatd.h"
#include "csi/in_flight.h"

namespace cleat::csi {

struct VolumeTurn {
  InFlight::Turn turn;
  api::Volume volume;  // as it was once the turn was had
};

// The turn is by name, because a volume that is being made has no id. kNotFound: there is no such
// volume. kConflict: another call has the turn.
Outcome<VolumeTurn> take_turn(const Cleatd& cleatd, InFlight& in_flight, const std::string& id);
// Of one that was read before, and is read again.
Outcome<VolumeTurn> take_turn(const Cleatd& cleatd, InFlight& in_flight, const api::Volume& seen);

}  // namespace cleat::csi
