// The components of all masks: chunks scanned side by side, then joined where they meet.
#pragma once
#include <cstdint>
#include <vector>

#include "chunk.hpp"

namespace masks {

// Components are numbered from 1 through all masks, in raster order of their first voxels; 0 is what lies beyond the
// open faces. Components that a seam between chunks joined share the root of the smallest number.
template <class Coordinate>
struct Components {
  Shape shape;
  std::vector<Chunk<Coordinate>> chunks;
  std::vector<uint32_t> offset;  // of each chunk's numbers
  std::vector<uint32_t> root;    // of each component

  uint32_t number(size_t chunk, size_t run) const {
    const uint32_t local = chunks[chunk].component[run];
    return local ? local + offset[chunk] : 0;
  }
  size_t count() const { return root.size(); }  // component 0 included

  // Voxels of each component, under the number of its root.
  std::vector<int64_t> sizes(int threads) const;

  // Calls visit(mask, first, last) for stretches of numbers [first, last) of one mask of the batch, ascending.
  template <class Visit>
  void for_masks(Visit visit) const {
    const int64_t rows = shape.y * shape.z;
    for (size_t c = 0; c < chunks.size(); ++c) {
      const int64_t first_mask = chunks[c].first_row / rows;
      for (size_t i = 0; i + 1 < chunks[c].first_component.size(); ++i) {
        visit(static_cast<size_t>(first_mask) + i, chunks[c].first_component[i] + offset[c],
              chunks[c].first_component[i + 1] + offset[c]);
      }
    }
  }
};

// Throws std::length_error for more than 2^32 - 2 runs in a chunk, or components in all.
template <class Coordinate>
Components<Coordinate> find_components(const Scan& scan, int threads);

extern template struct Components<uint16_t>;
extern template struct Components<uint32_t>;
extern template Components<uint16_t> find_components(const Scan&, int);
extern template Components<uint32_t> find_components(const Scan&, int);

}  // namespace masks
