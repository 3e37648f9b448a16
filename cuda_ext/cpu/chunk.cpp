#include "chunk.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "processor.hpp"
#include "ranked_rows.hpp"
#include "row_reader.hpp"
#include "runs.hpp"
#include "union_find.hpp"
#ifdef MASKS_X86
#include <immintrin.h>
#endif

namespace masks {
namespace {

constexpr size_t most_runs = 0xfffffffe;
// Runs in a word from which counting beats walking; measured on organs, fields and noise.
constexpr size_t crowd = 2;

template <class Coordinate>
class Scanner {
 public:
  Scanner(const Scan& scan, Chunk<Coordinate>& chunk)
      : scan_(scan),
        shape_(scan.shape),
        chunk_(chunk),
        reader_(scan),
        words_(words_of(shape_.x)),
        counts_bits_(level() >= Level::avx2),
        // Rows that may still be asked for: the last one, or those back to the neighbours in the slice before.
        kept_rows_(shape_.z > 1 ? shape_.y + 2 : 2) {
    const size_t kept = static_cast<size_t>(kept_rows_ * words_);
    bits_.resize(kept);
    starts_.resize(kept);
    before_.resize(kept);
    is_crowded_.resize(static_cast<size_t>(kept_rows_));
  }

  void run(int64_t first, int64_t last) {
    chunk_.first_row = first;
    chunk_.last_row = last;
    chunk_.first_run.resize(static_cast<size_t>(last - first) + 1);
    closed_.resize(static_cast<size_t>(last - first));
    append_outside();
    int64_t y = first % shape_.y, z = first / shape_.y % shape_.z, n = first / shape_.y / shape_.z;
    for (int64_t row = first; row < last; ++row) {
      chunk_.first_run[static_cast<size_t>(row - first)] = static_cast<uint32_t>(chunk_.component.size());
      append_row(row, n, z, y);
      merge_row(row, z, y);
      if (++y == shape_.y) {
        y = 0;
        if (++z == shape_.z) {
          z = 0;
          ++n;
        }
      }
    }
    chunk_.first_run[static_cast<size_t>(last - first)] = static_cast<uint32_t>(chunk_.component.size());
    number_components();
    if (scan_.open_faces) forget_outside();
#ifdef MASKS_X86
    if (scan_.copy == Copy::streamed) _mm_sfence();
#endif
  }

 private:
  void append_outside() {
    chunk_.edges.append(0);
    chunk_.edges.append(0);
    chunk_.component.append(0);
  }

  void append_row(int64_t row, int64_t n, int64_t z, int64_t y) {
    if (++slot_ == kept_rows_) slot_ = 0;
    const RankedRow here = kept(0);
    reader_.read(n, z, y, here.bits);
    const size_t before = chunk_.component.size();
    chunk_.edges.make_room(static_cast<size_t>(shape_.x) + 2);
    Coordinate* edges = chunk_.edges.data() + 2 * before;
    const size_t found = find_edges(here.bits, words_, shape_.x, edges);
    const size_t runs = found / 2;
    if (before + runs > most_runs) throw std::length_error("too many runs");
    chunk_.edges.resize(2 * (before + runs));
    chunk_.component.resize(before + runs);
    uint32_t* parent = chunk_.component.data() + before;
    for (size_t i = 0; i < runs; ++i) parent[i] = static_cast<uint32_t>(before + i);
    if (scan_.open_faces) open(row, z, y, edges, parent, runs);
    const bool is_crowded = counts_bits_ && runs > crowd * static_cast<size_t>(words_);
    is_crowded_[static_cast<size_t>(slot_)] = is_crowded;
    if (is_crowded) rank_runs(here, words_, static_cast<uint32_t>(before));
  }

  // Place of the row being scanned, or of one up to kept_rows_ - 1 before it.
  size_t slot(int64_t rows_before) const {
    return static_cast<size_t>(slot_ < rows_before ? slot_ - rows_before + kept_rows_ : slot_ - rows_before);
  }

  RankedRow kept(int64_t rows_before) {
    const size_t place = slot(rows_before) * static_cast<size_t>(words_);
    return {bits_.data() + place, starts_.data() + place, before_.data() + place};
  }

  // Runs that reach an open face belong to what is beyond it from the start.
  void open(int64_t row, int64_t z, int64_t y, const Coordinate* edges, uint32_t* parent, size_t runs) {
    const unsigned faces = (z == 0) * z_low | (z == shape_.z - 1) * z_high | (y == 0) * y_low | (y == shape_.y - 1) * y_high;
    size_t closed = runs;
    if (faces & scan_.open_faces) {
      std::fill(parent, parent + runs, 0u);
      closed = 0;
    } else if (runs) {
      if ((scan_.open_faces & x_low) && edges[0] == 0) {
        parent[0] = 0;
        --closed;
      }
      if ((scan_.open_faces & x_high) && edges[2 * runs - 1] == shape_.x && parent[runs - 1]) {
        parent[runs - 1] = 0;
        --closed;
      }
    }
    closed_[static_cast<size_t>(row - chunk_.first_row)] = closed != 0;
  }

  void merge_row(int64_t row, int64_t z, int64_t y) {
    if (chunk_.runs_begin(row) == chunk_.component.size()) return;
    for (int i = 0; i < scan_.neighbours.count; ++i) {
      const Neighbour& to = scan_.neighbours.rows[i];
      if (z + to.dz < 0 || y + to.dy < 0 || y + to.dy >= shape_.y) continue;
      const int64_t other = row + to.dz * shape_.y + to.dy;
      if (other < chunk_.first_row) continue;
      // Two rows whose runs all lie beyond the faces have nothing to tell each other: most rows around an organ.
      if (scan_.open_faces && !is_closed(row) && !is_closed(other)) continue;
      if (to.diagonal) {
        merge<true>(row, other);
      } else {
        merge<false>(row, other);
      }
      if (scan_.open_faces) update_closed(row);
    }
  }

  // A run that was joined to the outside has no more to learn either, like those between islands.
  void update_closed(int64_t row) {
    const uint32_t* parent = chunk_.component.data();
    const bool closed = std::any_of(parent + chunk_.runs_begin(row), parent + chunk_.component.size(),
                                    [](uint32_t root) { return root != 0; });
    closed_[static_cast<size_t>(row - chunk_.first_row)] = closed;
  }

  bool is_closed(int64_t row) const { return closed_[static_cast<size_t>(row - chunk_.first_row)]; }

  template <bool diagonal>
  void merge(int64_t row, int64_t other) {
    uint32_t* parent = chunk_.component.data();
    const size_t b = chunk_.runs_begin(other);
    const size_t b_end = chunk_.first_run[static_cast<size_t>(other - chunk_.first_row) + 1];
    if (b == b_end) return;
    if (is_crowded_[slot(0)] && is_crowded_[slot(row - other)]) {
      if (!diagonal && row - other == shape_.y && row % shape_.y && other > chunk_.first_row) {
        unite_ranked_further(kept(0), kept(shape_.y), kept(1).bits, kept(shape_.y + 1).bits, words_, parent);
        return;
      }
      unite_ranked<diagonal>(kept(0), kept(row - other), words_, parent);
      return;
    }
    const Coordinate* edges = chunk_.edges.data();
    for_touching_runs<diagonal>(
        edges, chunk_.runs_begin(row), chunk_.component.size(), edges, b, b_end,
        [parent](size_t i, size_t j) { unite(parent, static_cast<uint32_t>(i), static_cast<uint32_t>(j)); });
  }

  // Turns parents into numbers of components in one ascending pass: a parent is never above its child.
  void number_components() {
    uint32_t* node = chunk_.component.data();
    const int64_t rows_of_mask = shape_.y * shape_.z;
    uint32_t count = 0;
    for (int64_t row = chunk_.first_row; row < chunk_.last_row;) {
      const int64_t next = std::min(chunk_.last_row, (row / rows_of_mask + 1) * rows_of_mask);
      chunk_.first_component.append(count + 1);
      const size_t end = chunk_.runs_begin(next);
      for (size_t i = chunk_.runs_begin(row); i < end; ++i) node[i] = node[i] == i ? ++count : node[node[i]];
      row = next;
    }
    chunk_.first_component.append(count + 1);
    chunk_.components = count;
  }

  // What lies beyond the faces is never turned over: its runs are of use only where another chunk joins on.
  void forget_outside() {
    const int64_t seam = shape_.z > 1 ? shape_.y : 1;
    const int64_t rows = chunk_.last_row - chunk_.first_row;
    uint32_t* first_run = chunk_.first_run.data();
    uint32_t* component = chunk_.component.data();
    Coordinate* edges = chunk_.edges.data();
    uint32_t kept = first_run[std::min(seam, rows)];
    for (int64_t row = std::min(seam, rows); row < rows; ++row) {
      const bool is_seam = row >= rows - seam;
      const uint32_t begin = first_run[row], end = first_run[row + 1];
      first_run[row] = kept;
      for (uint32_t run = begin; run < end; ++run) {
        edges[2 * kept] = edges[2 * run];
        edges[2 * kept + 1] = edges[2 * run + 1];
        component[kept] = component[run];
        kept += is_seam || component[run];
      }
    }
    first_run[rows] = kept;
    chunk_.edges.shrink(2 * kept);
    chunk_.component.shrink(kept);
  }

  const Scan& scan_;
  const Shape shape_;
  Chunk<Coordinate>& chunk_;
  RowReader reader_;
  const int64_t words_;  // of a row
  const bool counts_bits_;
  const int64_t kept_rows_;
  int64_t slot_ = -1;
  Buffer<uint64_t> bits_, starts_;
  Buffer<uint32_t> before_;
  std::vector<uint8_t> is_crowded_;
  std::vector<uint8_t> closed_;  // by row: has a run not known to belong to what is beyond the open faces
};

}  // namespace

template <class Coordinate>
void scan_chunk(const Scan& scan, int64_t first, int64_t last, Chunk<Coordinate>& chunk) {
  Scanner<Coordinate>(scan, chunk).run(first, last);
}

template void scan_chunk(const Scan&, int64_t, int64_t, Chunk<uint16_t>&);
template void scan_chunk(const Scan&, int64_t, int64_t, Chunk<uint32_t>&);

}  // namespace masks
