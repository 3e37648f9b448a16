#include "flood.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "flooded_part.hpp"
#include "runs.hpp"
#include "thread_pool.hpp"
#include "writing.hpp"

namespace masks {
namespace {

// More parts than threads, so that a thread with an easy one takes another.
constexpr int64_t parts_per_thread = 4;
// Fewer rows are turned over sooner than a second thread wakes up.
constexpr int64_t rows_worth_a_thread = 4096;
// As long as the bits stay in the caches.
constexpr int64_t most_voxels = int64_t{1} << 24;

struct Part {
  int64_t n, first, last;
  std::unique_ptr<FloodedPart> flooded;
  bool settled = false;
  int64_t dry_rows = 0;
};

// Parts of one mask lie side by side, in ascending order.
std::vector<Part> split(const Shape& shape, int threads) {
  const int64_t wanted = threads <= 1 ? 1 : threads * parts_per_thread;
  const int64_t units = shape.z > 1 ? shape.z : shape.y;
  const int64_t each = std::min(units, (wanted + shape.n - 1) / shape.n);
  std::vector<Part> parts;
  for (int64_t n = 0; n < shape.n; ++n) {
    for (int64_t i = 0; i < each; ++i) parts.push_back({n, units * i / each, units * (i + 1) / each, nullptr, false, 0});
  }
  return parts;
}

void read(const Scan& scan, const Choice& choice, Part& part) {
  part.flooded = std::make_unique<FloodedPart>(scan, part.n, part.first, part.last);
  part.flooded->read();
  for (size_t i = 0; i < choice.points.size(); i += 4) {
    const int64_t* point = &choice.points[i];
    const int64_t unit = scan.shape.z > 1 ? point[1] : point[2];
    if (point[0] == part.n && unit >= part.first && unit < part.last) part.flooded->start_at(point[1], point[2], point[3]);
  }
  part.settled = part.flooded->settle();
  if (part.settled) part.dry_rows = part.flooded->find_dry_rows();
}

// Until no part has anything new to show to its neighbours, or one gives up.
bool join(std::vector<Part>& parts) {
  const auto neighbour = [&](size_t i, size_t other) {
    return other < parts.size() && parts[other].n == parts[i].n ? parts[other].flooded.get() : nullptr;
  };
  bool any = true;
  const auto go_on = [&](size_t i) {
    if (!parts[i].flooded->see(neighbour(i, i - 1), neighbour(i, i + 1))) return true;
    any = true;
    return parts[i].flooded->settle();
  };
  while (any) {
    any = false;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!go_on(i)) return false;
    }
    for (size_t i = parts.size(); i-- > 0;) {
      if (!go_on(i)) return false;
    }
  }
  return true;
}

template <class Value>
void turn_over(const Part& part, int64_t x, const View<char>& out, Value value) {
  std::vector<uint32_t> edges(static_cast<size_t>(x) + 2);
  part.flooded->for_dry_rows([&](int64_t z, int64_t y, const uint64_t* words) {
    const size_t count = find_edges(words, words_of(x), x, edges.data());
    for (size_t i = 0; i < count; i += 2) write_run(out.row(part.n, z, y), out.strides.x, edges[i], edges[i + 1], value);
  });
}

void turn_over(const Part& part, int64_t x, const Turned& turned) {
  if (turned.voxels == Voxels::scores) {
    turn_over(part, x, turned.out, turned.score);
  } else {
    turn_over(part, x, turned.out, turned.byte);
  }
}

}  // namespace

bool flood(const Scan& scan, const Choice& choice, const Turned& turned, int threads) {
  if (choice.rule != Choice::Rule::all && choice.rule != Choice::Rule::untouched) return false;
  if (scan.shape.rows() * scan.shape.x > most_voxels) return false;
  std::vector<Part> parts = split(scan.shape, threads);
  const int64_t count = static_cast<int64_t>(parts.size());
  const bool are_whole = count == scan.shape.n;
  parallel_for(count, threads, [&](int64_t i) {
    Part& part = parts[static_cast<size_t>(i)];
    read(scan, choice, part);
    if (!are_whole || !part.settled) return;
    turn_over(part, scan.shape.x, turned);
    part.flooded.reset();  // so that the next one gets its memory, still in the cache
  });
  if (!std::all_of(parts.begin(), parts.end(), [](const Part& part) { return part.settled; })) return false;
  if (are_whole) return true;
  if (!join(parts)) return false;
  int64_t dry_rows = 0;
  for (const Part& part : parts) dry_rows += part.dry_rows;
  if (dry_rows < rows_worth_a_thread) threads = 1;
  parallel_for(count, threads, [&](int64_t i) { turn_over(parts[static_cast<size_t>(i)], scan.shape.x, turned); });
  return true;
}

}  // namespace masks
