// Neighbouring rows of one mask as bits, and which of their voxels a flood has reached. A whole row is flooded at a time,
// without a look at single runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "row_reader.hpp"

namespace masks {

class FloodedPart {
 public:
  // A unit is a slice, or a row where the mask has but one slice. The part has the units [first, last) of mask n.
  FloodedPart(const Scan& scan, int64_t n, int64_t first, int64_t last);

  // Reads all rows and floods them once from the open faces, forward.
  void read();
  // Starts at this voxel of the part too, if it is a candidate.
  void start_at(int64_t z, int64_t y, int64_t x);
  // Floods all that can be reached within the part. Returns false if it gave up, for that would take too long.
  bool settle();
  // Looks at what the neighbouring parts have reached; either may be null. Returns whether anything was new.
  bool see(const FloodedPart* before, const FloodedPart* after);

  // Notes the rows that have candidates which were not reached so far. Returns how many.
  int64_t find_dry_rows();
  // Calls visit(z, y, words) for those among them that still have, with these candidates.
  template <class Visit>
  void for_dry_rows(Visit visit) const {
    std::vector<uint64_t> dry(static_cast<size_t>(words_));
    for (const int64_t row : dry_rows_) {
      uint64_t any = 0;
      for (int64_t k = 0; k < words_; ++k) any |= dry[static_cast<size_t>(k)] = candidates(row)[k] & ~reached(row)[k];
      const int64_t unit = first_ + (row - begin_) / pitch_, i = (row - begin_) % pitch_;
      if (any) visit(stacked_ ? unit : 0, stacked_ ? i : unit, dry.data());
    }
  }

 private:
  // Around the units lies one more on either side, which shows what the neighbouring part has reached. A row without
  // candidates after each slice keeps neighbouring slices apart.
  int64_t row_of(int64_t unit, int64_t i) const { return 1 + (unit - first_ + 1) * pitch_ + i; }
  uint64_t* candidates(int64_t row) { return candidates_.data() + row * words_; }
  uint64_t* reached(int64_t row) { return reached_.data() + row * words_; }
  const uint64_t* candidates(int64_t row) const { return candidates_.data() + row * words_; }
  const uint64_t* reached(int64_t row) const { return reached_.data() + row * words_; }

  void start_at_faces(int64_t z, int64_t y, uint64_t* row) const;
  uint64_t look_around(int64_t row);
  uint64_t look_aslant(int64_t row);
  void spread(int64_t row);
  void visit(int64_t row);
  void tell_neighbours(int64_t row);
  template <bool forward>
  bool sweep();
  bool show(const FloodedPart& other, int64_t unit);

  const Scan& scan_;
  const bool stacked_;  // units are slices
  const int64_t n_, first_, last_, words_;
  const int64_t rows_, pitch_;  // of a unit; from one unit to the next
  const int64_t begin_, end_;   // of the part's own rows
  // From a row to those that its runs may touch, and to those where they may touch at corners along x too.
  int64_t straight_[4] = {0, 0, 0, 0};
  std::vector<int64_t> slanted_, all_;
  std::vector<uint64_t> candidates_, reached_, wave_, side_;
  int64_t visits_ = 0;
  std::vector<int64_t> dry_rows_;
  std::vector<uint64_t> due_;  // a bit for each row that may be reached further
};

}  // namespace masks
