// Turning over what cannot be reached, without numbering components: the voxels are packed to bits, and a flood of bits
// runs through the rows, forth and back.
#pragma once
#include "operations.hpp"

namespace masks {

// Floods from the open faces and the points, and turns over what stays dry. Returns false where components have to be
// found instead: for other rules, for large masks and for mazes. What was turned over until then would be so again.
bool flood(const Scan& scan, const Choice& choice, const Turned& turned, int threads);

}  // namespace masks
