#include "choosing.hpp"

#include <algorithm>

namespace masks {
namespace {

// Number of the component that holds a voxel, or 0.
template <class Coordinate>
uint32_t component_at(const Components<Coordinate>& all, const int64_t* point) {
  const Shape& shape = all.shape;
  const int64_t row = (point[0] * shape.z + point[1]) * shape.y + point[2];
  const auto after = std::upper_bound(all.chunks.begin(), all.chunks.end(), row,
                                      [](int64_t r, const Chunk<Coordinate>& chunk) { return r < chunk.first_row; });
  const size_t c = static_cast<size_t>(after - all.chunks.begin()) - 1;
  const Chunk<Coordinate>& chunk = all.chunks[c];
  for (size_t run = chunk.runs_begin(row); run < chunk.runs_end(row); ++run) {
    if (point[3] < int64_t{chunk.edges[2 * run]}) return 0;
    if (point[3] < int64_t{chunk.edges[2 * run + 1]}) return all.number(c, run);
  }
  return 0;
}

// Root of each mask's largest component; of equals the first in raster order.
template <class Coordinate>
std::vector<uint32_t> largest(const Components<Coordinate>& all, const std::vector<int64_t>& size) {
  std::vector<uint32_t> best(static_cast<size_t>(all.shape.n), 0);
  all.for_masks([&](size_t mask, uint32_t first, uint32_t last) {
    for (uint32_t k = first; k < last; ++k) {
      const uint32_t root = all.root[k];
      if (root && (!best[mask] || size[root] > size[best[mask]])) best[mask] = root;
    }
  });
  return best;
}

}  // namespace

template <class Coordinate>
std::vector<uint8_t> choose(const Components<Coordinate>& all, const Choice& choice, int threads) {
  using Rule = Choice::Rule;
  const size_t count = all.count();
  std::vector<uint8_t> chosen(count, 1);
  if (choice.rule == Rule::at_most || choice.rule == Rule::fewer_than) {
    const std::vector<int64_t> size = all.sizes(threads);
    const int64_t most = choice.size - (choice.rule == Rule::fewer_than);
    for (size_t k = 1; k < count; ++k) chosen[k] = size[k] <= most;
  } else if (choice.rule == Rule::all_but_largest) {
    for (const uint32_t root : largest(all, all.sizes(threads))) chosen[root] = 0;
  }
  for (size_t i = 0; i < choice.points.size(); i += 4) chosen[all.root[component_at(all, &choice.points[i])]] = 0;
  chosen[0] = 0;
  // A root comes before all that share it, so that it is final when they ask.
  bool any = false;
  for (size_t k = 1; k < count; ++k) {
    chosen[k] = chosen[all.root[k]];
    any |= chosen[k] != 0;
  }
  if (!any) chosen.clear();
  return chosen;
}

template std::vector<uint8_t> choose(const Components<uint16_t>&, const Choice&, int);
template std::vector<uint8_t> choose(const Components<uint32_t>&, const Choice&, int);

}  // namespace masks
