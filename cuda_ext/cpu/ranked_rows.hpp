// The same as runs.hpp for processors that count bits in one instruction: the run at a place of a row is found by
// counting the starts of runs before it, so that touching runs come straight from the AND of two rows. That has few
// branches to guess wrong, which is what the walk over runs spends its time on.
#pragma once
#include <cstddef>
#include <cstdint>

#include "bit_tricks.hpp"
#include "union_find.hpp"

namespace masks {

constexpr size_t edges_written_ahead = 8;

// A row's bits, the first bits of its runs, and for each word the number of the last run that starts before it.
struct RankedRow {
  uint64_t* bits;
  uint64_t* starts;
  uint32_t* before;
};

// As find_edges, filling starts and before; first is the number of the row's first run. Up to edges_written_ahead more
// edges are overwritten.
template <class Coordinate>
MASKS_TARGET("popcnt,bmi")
size_t rank_row(const RankedRow& row, int64_t count, int64_t x, uint32_t first, Coordinate* edges) {
  uint64_t carry = 0;
  uint32_t last = first - 1;
  size_t found = 0;
  for (int64_t k = 0; k < count; ++k) {
    const uint64_t word = row.bits[k];
    uint64_t changes = word ^ ((word << 1) | carry);
    carry = word >> 63;
    const uint64_t starts = changes & word;
    row.starts[k] = starts;
    row.before[k] = last;
    if (!changes) continue;
    last += count_bits(starts);
    const size_t next = found + count_bits(changes);
    // Four at a time whether there are four or not: Langdale & Lemire (2019), "Parsing gigabytes of JSON per second".
    for (; found < next; found += 4) {
      for (size_t i = 0; i < 4; ++i) {
        // The bit above is no place in the word, but one that may be asked for.
        edges[found + i] = static_cast<Coordinate>(k * 64 + lowest_bit(changes | uint64_t{1} << 63));
        changes &= changes - 1;
      }
    }
    found = next;
  }
  if (found & 1) edges[found++] = static_cast<Coordinate>(x);
  return found;
}

// Unites touching runs of two neighbouring rows.
template <bool diagonal>
MASKS_TARGET("popcnt,bmi")
void unite_ranked(const RankedRow& a, const RankedRow& b, int64_t count, uint32_t* parent) {
  uint64_t both_carry = 0, a_carry = 0, b_carry = 0;
  for (int64_t k = 0; k < count; ++k) {
    const uint64_t a_word = a.bits[k], b_word = b.bits[k], both = a_word & b_word;
    uint64_t contacts = both & ~((both << 1) | both_carry);
    both_carry = both >> 63;
    if (diagonal) {
      // A run that starts just right of where one of the other row ended.
      contacts |= b.starts[k] & ((a_word << 1) | a_carry) & ~a_word;
      contacts |= a.starts[k] & ((b_word << 1) | b_carry) & ~b_word;
      a_carry = a_word >> 63;
      b_carry = b_word >> 63;
    }
    while (contacts) {
      const uint64_t up_to = contacts ^ (contacts - 1);
      contacts &= contacts - 1;
      unite(parent, a.before[k] + count_bits(a.starts[k] & up_to), b.before[k] + count_bits(b.starts[k] & up_to));
    }
  }
}

}  // namespace masks
