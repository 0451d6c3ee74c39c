// Names that others see: of the driver, of topology keys, of the labels that cleat-csi keeps its
// own notes in. A label whose value is empty counts as missing.
#pragma once

#include <string>

namespace cleat::csi {

inline constexpr const char* kDriverName = "csi.cleat.dev";

inline constexpr const char* kTopologyNode = "csi.cleat.dev/node";
inline constexpr const char* kTopologyRack = "csi.cleat.dev/rack";
inline constexpr const char* kTopologyZone = "csi.cleat.dev/zone";

// Keys with this prefix come from the sidecars and are not for the driver to understand.
inline constexpr const char* kSidecarPrefix = "csi.storage.k8s.io/";

// Labels that people use too.
inline constexpr const char* kLabelGroup = "group";
inline constexpr const char* kLabelApart = "fg";  // "true": kept apart from the rest of its group
inline constexpr const char* kLabelMountOptions = "mount_options";
inline constexpr const char* kLabelClaim = "pvc";
inline constexpr const char* kLabelNamespace = "namespace";

inline constexpr const char* kOwnLabelPrefix = "csi.cleat.dev/";
// What a volume was asked for at its creation: a repeated call must ask for the same.
inline constexpr const char* kLabelCreatedAs = "csi.cleat.dev/created-as";
inline constexpr const char* kLabelAskedBytes = "csi.cleat.dev/asked-bytes";
// Of a clone: the snapshot that was made for it alone. Of that snapshot: the clone's name.
inline constexpr const char* kLabelBase = "csi.cleat.dev/base";
inline constexpr const char* kLabelBaseOf = "csi.cleat.dev/base-of";
// The nodes it was unpublished from while they were away ("n1,n2"): it may be taken from there.
inline constexpr const char* kLabelUnpublished = "csi.cleat.dev/unpublished-from";
// "true"; of a shared volume the nodes that only read.
inline constexpr const char* kLabelReadOnly = "csi.cleat.dev/published-read-only";
// The file system that is being made: what is on the device so far is worth nothing.
inline constexpr const char* kLabelFormatting = "csi.cleat.dev/formatting";
// The id of the volume that the driver has made a file system on: none is ever made on it again. A
// clone made by hand has the id of its source here, and that says nothing of the clone.
inline constexpr const char* kLabelFormatted = "csi.cleat.dev/formatted";

// Keys of the publish context.
inline constexpr const char* kContextDevice = "device";
inline constexpr const char* kContextReadOnly = "readonly";

// A name that Cleat takes for a name that CSI gives: itself when it is one of Cleat's, else what
// can be kept of it and a hash. `length_max` leaves room for what is put behind it.
std::string cleat_name(const std::string& csi_name, size_t length_max = 128);
// Whether it may be an id of Cleat: 1 to 18 digits.
bool is_id(const std::string& text);

}  // namespace cleat::csi
