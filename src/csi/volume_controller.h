// Makes, deletes and changes volumes: the Controller service without publishing, snapshots and
// lists. What each call promises stands in api/csi.proto and the CSI specification.
//
// How a repeated CreateVolume knows its volume: by name, and by labels that say what was asked for
// (kLabelCreatedAs, kLabelAskedBytes). What it finds half done it finishes.
//
// Threading: any thread, any number at once; two calls for one volume: kConflict for the second.
// Ownership: borrows both.
#pragma once

#include "csi/capacity.h"
#include "csi/in_flight.h"
#include "csi/placement.h"

namespace cleat::csi {

class VolumeController {
 public:
  VolumeController(const Cleatd& cleatd, InFlight& in_flight)
      : cleatd_(cleatd), in_flight_(in_flight) {}

  Outcome<spec::CreateVolumeResponse> create(const spec::CreateVolumeRequest& request);
  Outcome<> remove(const spec::DeleteVolumeRequest& request);
  Outcome<spec::ControllerExpandVolumeResponse> expand(
      const spec::ControllerExpandVolumeRequest& request);
  Outcome<> modify(const spec::ControllerModifyVolumeRequest& request);
  Outcome<spec::ValidateVolumeCapabilitiesResponse> validate(
      const spec::ValidateVolumeCapabilitiesRequest& request);

 private:
  struct Wish;
  static Outcome<> check_shared(const Wish& wish);
  Outcome<Wish> read_wish(const spec::CreateVolumeRequest& request) const;
  std::map<std::string, std::string> labels_for(const Wish& wish, uint64_t size) const;
  Outcome<api::Volume> confirm(const Wish& wish, const api::Volume& found);
  Outcome<api::Volume> create_empty(const Wish& wish);
  Outcome<api::Volume> place(const Wish& wish, api::CreateVolumeRequest request);
  Outcome<api::Volume> create_from(const Wish& wish);
  Outcome<api::Volume> source_of(const Wish& wish) const;
  Outcome<api::Volume> hidden_base(const Wish& wish, const api::Volume& source);
  Outcome<api::Volume> finish(const Wish& wish, api::Volume volume);
  Outcome<> delete_with_base(const api::Volume& volume);
  Outcome<> delete_hidden_bases(const api::Volume& volume);
  Outcome<api::Volume> apply(const Parameters& parameters, const api::Volume& volume);

  const Cleatd& cleatd_;
  InFlight& in_flight_;
};

}  // namespace cleat::csi
