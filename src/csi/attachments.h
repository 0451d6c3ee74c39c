// On which nodes a volume is attached, and what the driver's notes (labels) say of each of them.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "api/control.pb.h"

namespace cleat::csi {

namespace api = ::cleat::control::v1;

// The primary's first; of a shared volume the other sharers' too.
std::vector<api::Attachment> attachments_of(const api::Volume& volume);
// Null: it is not attached there.
const api::Attachment* attachment_on(const api::Volume& volume, const std::string& node);
// Somewhere else, on a node that is online.
bool is_online_elsewhere(const api::Volume& volume, const std::string& node);
// "n1, n2"
std::string names_of(const std::vector<api::Attachment>& attachments);

// A note that names nodes: "n1,n2".
bool names_node(const api::Volume& volume, const std::string& label, const std::string& node);
// The note with the node added or taken out.
std::string with_node(const api::Volume& volume, const std::string& label, const std::string& node,
                      bool on);

}  // namespace cleat::csi
