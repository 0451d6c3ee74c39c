// What the spec of a shared volume says of its devices (ADR 9): `attachment` is the primary's,
// `shared_attachments` are those of the other sharers. Pure.
#pragma once

#include <vector>

#include "control/cluster_view.h"

namespace cleat::control {

// The entry of `node`, whichever it is; null when there is none.
const meta::Attachment* find_entry(const meta::VolumeSpec& spec, NodeId node);
// Of everybody who has a device, or was promised one: also of who is to become primary.
std::vector<meta::Attachment> entries_of(const VolumeView& volume);
// In place of the node's entry; a new one goes to the other sharers'.
void put_entry(meta::VolumeSpec& spec, const meta::Attachment& entry);
void erase_entry(meta::VolumeSpec& spec, NodeId node);
// `entry` becomes the primary's. Who was it until now is beside the others; leaving, if the record
// names it still: then it is taken over.
void set_primary(meta::VolumeSpec& spec, const core::VolumeRecord& record,
                 const meta::Attachment& entry);
// Undoes put_entry() or, `as_primary`, set_primary() of `entry`, whose claim tells it from every
// other; `before` is what they began with. False: somebody changed it since, and it stays.
bool take_back_entry(meta::VolumeSpec& spec, const VolumeView& before,
                     const meta::Attachment& entry, bool as_primary);

// The record has no such sharer any more, though a device was made: it was expelled, or is just
// being detached.
bool is_expelled(const meta::Attachment& entry, const core::VolumeRecord& record);
// Nodes have devices, and no primary that is online serves them.
bool lacks_primary(const VolumeView& volume, const Topology& topology);
// Who of the sharers that are online becomes primary, the best first: with an in-sync replica, not
// in maintenance; last the one that was to and did not.
std::vector<NodeId> next_primaries(const VolumeView& volume, const Topology& topology);

}  // namespace cleat::control
