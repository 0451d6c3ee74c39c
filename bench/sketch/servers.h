// The two processes of the sketch: the first serves NBD, writes each block to its own file and, in
// parallel, sends it to the second, which writes it to its file. A write is answered when both
// have it, a flush when both have flushed. Reads are local. Nothing else: no epochs, no order, no
// recovery.
#pragma once

#include <cstdint>
#include <string>

namespace cleat::sketch {

// Each runs until its process is killed.
[[noreturn]] void run_peer(const std::string& listen, const std::string& file);
[[noreturn]] void run_primary(const std::string& listen, const std::string& file,
                              const std::string& peer);

}  // namespace cleat::sketch
