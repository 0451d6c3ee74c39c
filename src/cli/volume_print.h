// Volumes as pxctl prints them.
#pragma once

#include <ostream>
#include <vector>

#include "cli/format.h"

namespace cleat::cli {

// ID NAME SIZE HA SHARED ENCRYPTED IO_PRIORITY SCALE STATUS, and the footnote where a row has a
// star.
void print_volume_list(std::ostream& out,
                       const google::protobuf::RepeatedPtrField<api::Volume>& volumes);

// Everything known of one volume; `stats` may be null.
void print_volume(std::ostream& out, const api::Volume& volume,
                  const api::VolumeStatsResponse* stats);

}  // namespace cleat::cli
