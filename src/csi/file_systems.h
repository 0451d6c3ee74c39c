// From whatever is on a volume's device to a file system that can be mounted: made when the device
// is blank, finished when an earlier make was cut short, checked, grown to the size of the device.
//
// Never over data: a file system is made only on a device that is blank, or that carries the note
// (a label of the volume, so that every node sees it) which was written when it was found blank and
// which goes before the first mount; and even then not over a file system that is whole. Once made,
// a second label says so, and none is made on the volume again, whatever is found on it.
//
// Threading: one call for a volume at a time. Ownership: borrows the context.
#pragma once

#include "csi/node_context.h"

namespace cleat::csi {

struct FileSystemWish {
  std::string fs;  // asked for by the capability; empty: the volume's
  bool read_only = false;
};

// The file system that is there now. Not mounted anywhere on this node.
Outcome<std::string> prepare_file_system(const NodeContext& context, const api::Volume& volume,
                                         const std::string& device, const FileSystemWish& wish);

}  // namespace cleat::csi
