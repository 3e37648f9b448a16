// The components of a few neighbouring rows, found by one thread.
#pragma once
#include <cstdint>

#include "buffer.hpp"
#include "scan.hpp"

namespace masks {

// Runs are numbered from 1 in raster order; run 0 stands for everything beyond the open faces. Coordinate is the
// narrowest number that holds a position along x, for the sake of memory.
template <class Coordinate>
struct Chunk {
  int64_t first_row = 0, last_row = 0;
  Buffer<Coordinate> edges;     // two for each run
  Buffer<uint32_t> component;   // of each run: 0 beyond the faces, then 1, 2, … in raster order of their first runs
  Buffer<uint32_t> first_run;   // of each row, and one past the last
  Buffer<uint32_t> first_component;  // of each mask of the batch in these rows, and one past the last
  uint32_t components = 0;

  size_t runs_begin(int64_t row) const { return first_run[static_cast<size_t>(row - first_row)]; }
  size_t runs_end(int64_t row) const { return first_run[static_cast<size_t>(row - first_row) + 1]; }
  int64_t length(size_t run) const { return int64_t{edges[2 * run + 1]} - int64_t{edges[2 * run]}; }
};

// Scans the rows [first, last) into chunk. Throws std::length_error for more than 2^32 - 2 runs.
template <class Coordinate>
void scan_chunk(const Scan& scan, int64_t first, int64_t last, Chunk<Coordinate>& chunk);

extern template void scan_chunk(const Scan&, int64_t, int64_t, Chunk<uint16_t>&);
extern template void scan_chunk(const Scan&, int64_t, int64_t, Chunk<uint32_t>&);

}  // namespace masks
