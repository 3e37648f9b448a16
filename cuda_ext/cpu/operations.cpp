#include "operations.hpp"

#include <algorithm>
#include <stdexcept>

#include "choosing.hpp"
#include "components.hpp"
#include "flood.hpp"
#include "thread_pool.hpp"
#include "writing.hpp"

namespace masks {
namespace {

// Calls visit(row's first byte, first run, last run) for the rows of a chunk.
template <class Coordinate, class Visit>
void for_rows(const Chunk<Coordinate>& chunk, const Shape& shape, const View<char>& out, Visit visit) {
  int64_t row = chunk.first_row;
  int64_t y = row % shape.y, slice = row / shape.y;
  for (; row < chunk.last_row; ++slice, y = 0) {
    for (; y < shape.y && row < chunk.last_row; ++y, ++row) {
      visit(out.row(slice / shape.z, slice % shape.z, y), chunk.runs_begin(row), chunk.runs_end(row));
    }
  }
}

template <class Coordinate, class Value>
void turn_over(const Components<Coordinate>& all, const std::vector<uint8_t>& chosen, const View<char>& out, Value value,
               int threads) {
  parallel_for(static_cast<int64_t>(all.chunks.size()), threads, [&](int64_t i) {
    const size_t c = static_cast<size_t>(i);
    const Chunk<Coordinate>& chunk = all.chunks[c];
    // As seen by the chunk's own numbers; its 0 is everybody's 0, which is never chosen.
    const uint8_t* own = chosen.data() + all.offset[c];
    for_rows(chunk, all.shape, out, [&](char* row, size_t run, size_t end) {
      for (; run < end; ++run) {
        const uint32_t local = chunk.component[run];
        if (local && own[local]) write_run(row, out.strides.x, chunk.edges[2 * run], chunk.edges[2 * run + 1], value);
      }
    });
  });
}

template <class Coordinate>
void clean_as(const Scan& scan, const Choice& choice, const Turned& turned, int threads) {
  const Components<Coordinate> all = find_components<Coordinate>(scan, threads);
  const std::vector<uint8_t> chosen = choose(all, choice, threads);
  if (chosen.empty()) return;
  if (turned.voxels == Voxels::scores) {
    turn_over(all, chosen, turned.out, turned.score, threads);
  } else {
    turn_over(all, chosen, turned.out, turned.byte, threads);
  }
}

template <class Coordinate>
std::vector<int32_t> number_in_each_mask(const Components<Coordinate>& all, int32_t* counts) {
  std::vector<int32_t> number(all.count(), 0);
  std::fill(counts, counts + all.shape.n, 0);
  all.for_masks([&](size_t mask, uint32_t first, uint32_t last) {
    for (uint32_t k = first; k < last; ++k) {
      if (all.root[k] != k) {
        number[k] = number[all.root[k]];
      } else if (counts[mask] == INT32_MAX) {
        throw std::length_error("too many components");
      } else {
        number[k] = ++counts[mask];
      }
    }
  });
  return number;
}

// A run of labels where all after it in the row is still 0. Most are short: a few too many at once and zeros behind them
// are sooner written than exactly as many, whose number no processor guesses.
void write_label(char* row, int64_t step, int64_t start, int64_t stop, int64_t width, int32_t number) {
  constexpr int64_t few = 8;
  if (step != int64_t{sizeof number} || stop + few > width) {
    write_run(row, step, start, stop, number);
    return;
  }
  int32_t *to = reinterpret_cast<int32_t*>(row) + start, *end = reinterpret_cast<int32_t*>(row) + stop;
  for (; to < end; to += few) std::fill_n(to, few, number);
  std::fill_n(end, few, 0);
}

template <class Coordinate>
void label_as(const Scan& scan, const View<char>& labels, bool is_zero, int32_t* counts, int threads) {
  const Components<Coordinate> all = find_components<Coordinate>(scan, threads);
  const std::vector<int32_t> number = number_in_each_mask(all, counts);
  const int64_t width = scan.shape.x, step = labels.strides.x;
  parallel_for(static_cast<int64_t>(all.chunks.size()), threads, [&](int64_t i) {
    const size_t c = static_cast<size_t>(i);
    const Chunk<Coordinate>& chunk = all.chunks[c];
    const int32_t* own = number.data() + all.offset[c];
    for_rows(chunk, all.shape, labels, [&](char* row, size_t run, size_t end) {
      // The row as a whole, for the gaps between short runs are too many to be written one by one.
      if (!is_zero) write_run<int32_t>(row, step, 0, width, 0);
      for (; run < end; ++run) {
        write_label(row, step, chunk.edges[2 * run], chunk.edges[2 * run + 1], width, own[chunk.component[run]]);
      }
    });
  });
}

}  // namespace

void clean(const Scan& scan, const Choice& choice, const Turned& turned, int threads) {
  if (scan.shape.empty()) return;
  if (flood(scan, choice, turned, threads)) return;
  if (scan.shape.x <= UINT16_MAX) {
    clean_as<uint16_t>(scan, choice, turned, threads);
  } else {
    clean_as<uint32_t>(scan, choice, turned, threads);
  }
}

void label(const Scan& scan, const View<char>& labels, bool is_zero, int32_t* counts, int threads) {
  if (scan.shape.empty()) {
    std::fill(counts, counts + scan.shape.n, 0);
  } else if (scan.shape.x <= UINT16_MAX) {
    label_as<uint16_t>(scan, labels, is_zero, counts, threads);
  } else {
    label_as<uint32_t>(scan, labels, is_zero, counts, threads);
  }
}

}  // namespace masks
