// Rows of a mask as words of candidates: the voxels whose components are looked for.
#pragma once
#include <cstdint>

#include "scan.hpp"

namespace masks {

// Reads rows into words, writing the output that goes along with them.
class RowReader {
 public:
  explicit RowReader(const Scan& scan);

  // The bits of what is set, or of what is not where components of the background are looked for.
  void read(int64_t n, int64_t z, int64_t y, uint64_t* words) const;

 private:
  void read_set(int64_t n, int64_t z, int64_t y, uint64_t* words) const;
  void write_bits(const uint64_t* words, char* out) const;

  const Scan& scan_;
  PackBytes copy_, unaligned_copy_, test_only_;
  PackScores scores_;
};

}  // namespace masks
