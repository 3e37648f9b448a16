// One row of voxels to one bit per voxel, with an optional copy on the way while the row is in the cache.
#pragma once
#include <cstdint>

namespace masks {

enum class Voxels { bytes, scores };

// What becomes a set bit: a byte that is not zero; a score above the threshold; a score that is not below or at it
// (the same but for NaN, which then counts as set).
enum class Test { not_zero, above, not_at_most };

enum class Copy {
  none,
  all,
  streamed,  // past the caches: faster for an output larger than they are
  set_only   // the output is zero already: touch only the pages that hold something else
};

inline int64_t words_of(int64_t x) { return (x + 63) / 64; }

// Bytes with an x stride of 1. Bits past the end are zero. Returns the OR of the words.
using PackBytes = uint64_t (*)(const uint8_t* row, uint8_t* copy, uint64_t* words, int64_t x);
PackBytes pack_bytes(Copy copy);

// float32 with an x stride of 4.
using PackScores = uint64_t (*)(const float* row, float threshold, uint64_t* words, int64_t x);
PackScores pack_scores(Test test);

// Any stride along x, for both kinds of voxels; no copy.
uint64_t pack_strided(const char* row, int64_t stride, Test test, float threshold, uint64_t* words, int64_t x);

}  // namespace masks
