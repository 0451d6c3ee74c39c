// /dev/cleat/<volume name> -> the real device: symbolic links in cleatd's dev_dir.
//
// Threading: any; plain system calls that don't wait for a device. Names are checked:
// kInvalidArgument for one that is no file name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace cleat::frontend {

// dev_dir/name.
std::string device_link_path(std::string_view dev_dir, std::string_view name);

// Makes the directory and the link, or lets an old link point to `device`, in one step: whoever
// opens it meets one or the other. kAlreadyExists when something that is no link has that name;
// kIoError.
Result<void> make_device_link(std::string_view dev_dir, std::string_view name,
                              const std::string& device);
// No error when there is none. What is no link stays: kAlreadyExists.
Result<void> remove_device_link(std::string_view dev_dir, std::string_view name);
// Removes links whose volume is not among `names`: left by a node that went down.
Result<void> keep_device_links(std::string_view dev_dir, const std::vector<std::string>& names);

}  // namespace cleat::frontend
