#include "csi/volume_turn.h"

namespace cleat::csi {

Outcome<VolumeTurn> take_turn(const Cleatd& cleatd, InFlight& in_flight, const std::string& id) {
  OUTCOME_ASSIGN(const api::Volume seen, cleatd.volume(id));
  return take_turn(cleatd, in_flight, seen);
}

Outcome<VolumeTurn> take_turn(const Cleatd& cleatd, InFlight& in_flight, const api::Volume& seen) {
  OUTCOME_ASSIGN(auto turn, in_flight.begin("volume " + seen.name()));
  // Who had the turn before may have moved it: by the old copy a node that was just given the
  // volume would be the one that it may be taken from.
  OUTCOME_ASSIGN(api::Volume volume, cleatd.volume(seen.id()));
  if (volume.name() != seen.name()) {
    return failure(Code::kConflict, "volume {} has just been renamed to {}: try again", seen.name(),
                   volume.name());
  }
  return VolumeTurn{std::move(turn), std::move(volume)};
}

}  // namespace cleat::csi
