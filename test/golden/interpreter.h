// Runs a script of the replication rules and writes the full trace of what they answered.
//
// A script is lines of words; '#' begins a comment. The commands:
//   replicas N                 a record with N replicas in sync (0, 1, ...)
//   write NAME FIRST COUNT     takes a place; "starts" when nothing earlier overlaps
//   copy NAME FIRST COUNT      the same for a part of a resync
//   ack NAME MEMBER            a member has done it
//   fail MEMBER                a member failed
//   sync MEMBER                a member that is behind gets new writes
//   join MEMBER                its copy is confirmed
//   change                     the transaction that is due, if any
//   committed, conflicted      what came of it
//   fence EPOCH NUMBER         a replica of its own, whose stored epoch is 1: what the fence is
//   answered message EPOCH NUMBER       whether that replica admits it
//   restart                    that replica's process
//   report MEMBER kept|lost [FIRST COUNT]...   an answer to a takeover's fence
//   plan PREFERRED             what makes the reporting members equal
#pragma once

#include <string>

namespace cleat::core::golden {

std::string run_script(const std::string& script);

}  // namespace cleat::core::golden
