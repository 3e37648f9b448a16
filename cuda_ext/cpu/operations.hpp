// The operations on masks: find components, choose some, turn them over.
#pragma once
#include <cstdint>
#include <vector>

#include "scan.hpp"

namespace masks {

// Which components are turned over. What reaches an open face never is.
struct Choice {
  enum class Rule { all, at_most, fewer_than, all_but_largest, untouched } rule = Rule::all;
  int64_t size = 0;  // voxels, for at_most and fewer_than
  // Voxels (n, z, y, x) one after another. `untouched` turns over what holds none of them; any other rule spares what does.
  std::vector<int64_t> points;
};

// What is written where a component is turned over.
struct Turned {
  View<char> out;
  Voxels voxels = Voxels::bytes;
  uint8_t byte = 0;
  float score = 0;
};

// Throws std::length_error where a mask has more components than can be counted.
void clean(const Scan& scan, const Choice& choice, const Turned& turned, int threads);

// Writes 1, 2, … in raster order of first voxels, for each mask anew, and 0 elsewhere; counts has one number for each
// mask. `is_zero` tells that the labels are zero already. Throws std::length_error above 2^31 - 1.
void label(const Scan& scan, const View<char>& labels, bool is_zero, int32_t* counts, int threads);

}  // namespace masks
