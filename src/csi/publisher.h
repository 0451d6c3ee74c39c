// ControllerPublishVolume and ControllerUnpublishVolume: attach with fencing, and detach.
//
// A node that is away can't detach. Unpublishing from it succeeds and is noted on the volume; the
// next publish takes the volume over: the epoch is raised and the old primary is fenced before the
// first acknowledgement (R3), so that nothing the lost node still writes gets in. Should the node
// be back before that, the note allows to take its device away. Of a shared volume a node that is
// away is expelled at once, as long as another of its nodes is online.
//
// Threading: any thread. Ownership: borrows both.
#pragma once

#include "csi/capabilities.h"
#include "csi/cleatd.h"
#include "csi/in_flight.h"

namespace cleat::csi {

class Publisher {
 public:
  // `volumes_max`: attached to one node; 0: no limit.
  Publisher(const Cleatd& cleatd, InFlight& in_flight, uint32_t volumes_max)
      : cleatd_(cleatd), in_flight_(in_flight), volumes_max_(volumes_max) {}

  // kNotFound: no such volume or node. kBusy: it is published to another node. kAlreadyExists:
  // published there in another way.
  Outcome<spec::ControllerPublishVolumeResponse> publish(
      const spec::ControllerPublishVolumeRequest& request);
  Outcome<> unpublish(const spec::ControllerUnpublishVolumeRequest& request);

 private:
  struct Wish;
  Outcome<> may_attach(const api::Volume& volume, const std::string& node) const;
  Outcome<> note(const api::Volume& volume, const std::string& label, const std::string& value);
  Outcome<api::Volume> make_shared(const api::Volume& volume, const std::string& node);
  Outcome<> check_again(const Wish& wish) const;
  Outcome<bool> clear_others(Wish& wish);
  Outcome<> note_wanted(Wish& wish);
  Outcome<> unpublish_from(const api::Volume& volume, const std::string& node);
  Outcome<> give_up(const api::Volume& volume, const std::string& node);
  Outcome<> forget_notes(const api::Volume& volume, const std::string& node);

  const Cleatd& cleatd_;
  InFlight& in_flight_;
  const uint32_t volumes_max_;
};

}  // namespace cleat::csi
