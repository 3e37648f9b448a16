// A row of bits as runs: where it changes, in ascending order. Run i goes from edges[2i] to edges[2i + 1], exclusive.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "bit_tricks.hpp"

namespace masks {

// At most x + 1 edges of the set bits are written, an even number; returns how many. Bits past the end must be zero.
template <class Coordinate>
size_t find_edges(const uint64_t* words, int64_t count, int64_t x, Coordinate* edges) {
  Coordinate* end = edges;
  uint64_t carry = 0;
  for (int64_t k = 0; k < count; ++k) {
    const uint64_t word = words[k];
    uint64_t changes = word ^ ((word << 1) | carry);
    carry = word >> 63;
    while (changes) {
      *end++ = static_cast<Coordinate>(k * 64 + lowest_bit(changes));
      changes &= changes - 1;
    }
  }
  if ((end - edges) & 1) *end++ = static_cast<Coordinate>(x);
  return static_cast<size_t>(end - edges);
}

// Calls touch(a, b) at least once for each pair of touching runs of two neighbouring rows, first = a < a_end and
// second = b < b_end: the two-pointer walk of He, Chao & Suzuki (2008), "A run-based two-scan labeling algorithm".
template <bool diagonal, class Coordinate, class Touch>
MASKS_INLINE void for_touching_runs(const Coordinate* first, size_t a, size_t a_end, const Coordinate* second, size_t b,
                                    size_t b_end, Touch touch) {
  while (a < a_end && b < b_end) {
    const uint32_t a_stop = first[2 * a + 1], b_stop = second[2 * b + 1];
    const uint32_t start = std::max<uint32_t>(first[2 * a], second[2 * b]);
    if (start < std::min(a_stop, b_stop) + diagonal) touch(a, b);
    const bool a_ends_first = a_stop < b_stop;
    a += a_ends_first;
    b += !a_ends_first;
  }
}

}  // namespace masks
