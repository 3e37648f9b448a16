// Turning over what cannot be reached, without numbering components: the voxels are packed to bits, and a flood of bits
// runs through the rows, forth and back.
#pragma once
#include "operations.hpp"

namespace masks {

// Whether a flood can do it, and does it sooner.
bool is_for_flood(const Scan& scan, const Choice& choice);

// Floods from the open faces and the points; what stays dry is turned over.
void flood(const Scan& scan, const Choice& choice, const Turned& turned, int threads);

}  // namespace masks
