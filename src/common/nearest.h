// Finds what a person probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cleat {

// Number of letters to insert, delete, replace or swap with the next one to make one of the other
// (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);

// The only candidate that begins with the word, or the one with the smallest edit distance; empty
// when none is close (more than 2 letters and a third of the word differ). The first of equals
// wins.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// ": did you mean --size?", or empty. `prefix` is put before the candidate.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view prefix = "");

}  // namespace cleat
