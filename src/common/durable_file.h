// A small file that is replaced as a whole.
#pragma once

#include <string>

namespace cleat {

// After a power loss the file has its old or its new text, and the new one once this returned.
// False: errno says why. Threading: any thread; blocks for as long as the disk takes.
bool replace_file_durably(const std::string& path, const std::string& text);

}  // namespace cleat
