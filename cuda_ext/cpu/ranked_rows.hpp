// Touching runs of two crowded rows, for processors that count bits in one instruction: the run at a place of a row is
// found by counting the starts of runs before it, so that touching runs come straight from the AND of the rows. That has
// few branches to guess wrong, which is what the walk over runs spends its time on when runs are many and short.
#pragma once
#include <cstddef>
#include <cstdint>

#include "bit_tricks.hpp"
#include "union_find.hpp"

namespace masks {

// A row's bits, the first bits of its runs, and for each word the number of the last run that starts before it.
struct RankedRow {
  uint64_t* bits;
  uint64_t* starts;
  uint32_t* before;
};

// Fills starts and before from the bits; first is the number of the row's first run.
MASKS_TARGET("popcnt")
inline void rank_runs(const RankedRow& row, int64_t count, uint32_t first) {
  uint64_t carry = 0;
  uint32_t last = first - 1;
  for (int64_t k = 0; k < count; ++k) {
    const uint64_t word = row.bits[k];
    row.starts[k] = word & ~((word << 1) | carry);
    row.before[k] = last;
    carry = word >> 63;
    last += count_bits(row.starts[k]);
  }
}

// Number of the last run that starts before word k or at one of these places in it.
MASKS_INLINE uint32_t last_run(const RankedRow& row, int64_t k, uint64_t places) {
  return row.before[k] + count_bits(row.starts[k] & places);
}

// Unites touching runs of two neighbouring rows.
template <bool diagonal>
MASKS_TARGET("popcnt")
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
      unite(parent, last_run(a, k, up_to), last_run(b, k, up_to));
    }
  }
}

// The same where a row beside each was united with it and with the other: runs that meet where all four rows are set are
// united already, and in masks of any thickness that is most of them. Straight contacts only.
MASKS_TARGET("popcnt")
inline void unite_ranked_further(const RankedRow& a, const RankedRow& b, const uint64_t* beside_a, const uint64_t* beside_b,
                                 int64_t count, uint32_t* parent) {
  uint64_t both_carry = 0, known_carry = 0;
  for (int64_t k = 0; k < count; ++k) {
    const uint64_t both = a.bits[k] & b.bits[k], known = both & beside_a[k] & beside_b[k];
    // The addition carries from a known voxel through the rest of a stretch to the bit after it.
    const uint64_t half = both + known, sum = half + known_carry;
    uint64_t contacts = ((both << 1) | both_carry) & ~both & ~sum;
    known_carry = (half < both) | (sum < half);
    both_carry = both >> 63;
    for (; contacts; contacts &= contacts - 1) {
      const uint64_t below = (contacts ^ (contacts - 1)) >> 1;
      unite(parent, last_run(a, k, below), last_run(b, k, below));
    }
  }
  const int64_t end = count - 1;
  if (both_carry && !known_carry) unite(parent, last_run(a, end, ~uint64_t{0}), last_run(b, end, ~uint64_t{0}));
}

}  // namespace masks
