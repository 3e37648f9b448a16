#include "components.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "runs.hpp"
#include "thread_pool.hpp"
#include "union_find.hpp"

namespace masks {
namespace {

// More chunks than threads, so that a thread with an easy one takes another.
constexpr int64_t chunks_per_thread = 4;
// What is known of a chunk while it is scanned is mostly forgotten afterwards: small chunks save memory.
constexpr int64_t most_voxels = int64_t{1} << 23;

// First row of each chunk, and one past the last. Chunks hold whole slices where slices are linked, so that a seam lies
// between two chunks only.
std::vector<int64_t> split(const Shape& shape, int threads, bool linked) {
  const int64_t unit = linked || shape.slices() >= threads * chunks_per_thread ? shape.y : 1;
  const int64_t units = shape.rows() / unit;
  const int64_t wanted = std::max(threads <= 1 ? 1 : threads * chunks_per_thread, shape.rows() * shape.x / most_voxels);
  const int64_t count = std::min(units, wanted);
  std::vector<int64_t> first;
  for (int64_t i = 0; i <= count; ++i) first.push_back(units / count * i * unit + units % count * i / count * unit);
  return first;
}

template <class Coordinate>
class Seams {
 public:
  Seams(Components<Coordinate>& all, const Scan& scan) : all_(all), scan_(scan) {}

  // Joins the components of this chunk to those of the one before.
  void join(size_t chunk) {
    const Chunk<Coordinate>& here = all_.chunks[chunk];
    const bool linked = std::any_of(scan_.neighbours.rows, scan_.neighbours.rows + scan_.neighbours.count,
                                    [](const Neighbour& to) { return to.dz != 0; });
    const int64_t reach = std::min(here.last_row, here.first_row + (linked ? scan_.shape.y : 1));
    for (int64_t row = here.first_row; row < reach; ++row) {
      const int64_t y = row % scan_.shape.y, z = row / scan_.shape.y % scan_.shape.z;
      for (int i = 0; i < scan_.neighbours.count; ++i) {
        const Neighbour& to = scan_.neighbours.rows[i];
        const int64_t other = row + to.dz * scan_.shape.y + to.dy;
        const bool exists = z + to.dz >= 0 && y + to.dy >= 0 && y + to.dy < scan_.shape.y;
        if (!exists || other >= here.first_row) continue;
        if (to.diagonal) {
          join_rows<true>(chunk, row, other);
        } else {
          join_rows<false>(chunk, row, other);
        }
      }
    }
  }

 private:
  template <bool diagonal>
  void join_rows(size_t chunk, int64_t row, int64_t other) {
    const Chunk<Coordinate>&here = all_.chunks[chunk], &before = all_.chunks[chunk - 1];
    for_touching_runs<diagonal>(
        here.edges.data(), here.runs_begin(row), here.runs_end(row), before.edges.data(), before.runs_begin(other),
        before.runs_end(other),
        [&](size_t a, size_t b) { unite(all_.root.data(), all_.number(chunk, a), all_.number(chunk - 1, b)); });
  }

  Components<Coordinate>& all_;
  const Scan& scan_;
};

}  // namespace

template <class Coordinate>
Components<Coordinate> find_components(const Scan& scan, int threads) {
  const bool linked = scan.shape.z > 1;
  const std::vector<int64_t> first = split(scan.shape, threads, linked);
  Components<Coordinate> all;
  all.shape = scan.shape;
  all.chunks.resize(first.size() - 1);
  parallel_for(static_cast<int64_t>(all.chunks.size()), threads, [&](int64_t i) {
    const size_t c = static_cast<size_t>(i);
    scan_chunk(scan, first[c], first[c + 1], all.chunks[c]);
  });
  uint64_t total = 0;
  for (const auto& chunk : all.chunks) {
    all.offset.push_back(static_cast<uint32_t>(total));
    total += chunk.components;
    if (total > 0xfffffffe) throw std::length_error("too many components");
  }
  all.root.resize(static_cast<size_t>(total) + 1);
  std::iota(all.root.begin(), all.root.end(), 0u);
  Seams<Coordinate> seams(all, scan);
  for (size_t c = 1; c < all.chunks.size(); ++c) seams.join(c);
  for (uint32_t& root : all.root) root = all.root[root];
  return all;
}

template <class Coordinate>
std::vector<int64_t> Components<Coordinate>::sizes(int threads) const {
  std::vector<int64_t> size(root.size(), 0);
  // Each chunk counts its own components, which lie side by side.
  parallel_for(static_cast<int64_t>(chunks.size()), threads, [&](int64_t i) {
    const size_t c = static_cast<size_t>(i);
    const Chunk<Coordinate>& chunk = chunks[c];
    int64_t* own = size.data() + offset[c];
    for (size_t run = 1; run < chunk.component.size(); ++run) {
      if (const uint32_t local = chunk.component[run]) own[local] += chunk.length(run);
    }
  });
  for (size_t k = 1; k < root.size(); ++k) {
    if (root[k] == k) continue;
    size[root[k]] += size[k];
    size[k] = 0;
  }
  return size;
}

template struct Components<uint16_t>;
template struct Components<uint32_t>;
template Components<uint16_t> find_components(const Scan&, int);
template Components<uint32_t> find_components(const Scan&, int);

}  // namespace masks
