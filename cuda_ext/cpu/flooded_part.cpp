#include "flooded_part.hpp"

#include <algorithm>

#include "bit_tricks.hpp"

namespace masks {
namespace {

// Of each row, on average, before the flood gives up. Organs, fields and noise take two to four; a maze would take one for
// each of its windings.
constexpr int64_t most_visits = 24;

// The runs of set bits in `within`, from those in `from` up to their highest bits: the addition carries through a run to
// the zero above it.
MASKS_INLINE uint64_t fill_up(uint64_t from, uint64_t within) { return (((within + from) ^ within) | from) & within; }

// The same down to their lowest bits; by doubled steps, as no carry goes that way.
MASKS_INLINE uint64_t fill_down(uint64_t from, uint64_t within) {
  for (int step = 1; step < 64; step *= 2) {
    from |= within & (from >> step);
    within &= within >> step;
  }
  return from;
}

}  // namespace

FloodedPart::FloodedPart(const Scan& scan, int64_t n, int64_t first, int64_t last)
    : scan_(scan),
      stacked_(scan.shape.z > 1),
      n_(n),
      first_(first),
      last_(last),
      words_(words_of(scan.shape.x)),
      rows_(stacked_ ? scan.shape.y : 1),
      pitch_(stacked_ ? rows_ + 1 : 1),
      begin_(row_of(first, 0)),
      end_(row_of(last - 1, rows_ - 1) + 1) {
  int straight = 0;
  for (int i = 0; i < scan.neighbours.count; ++i) {
    const Neighbour& to = scan.neighbours.rows[i];
    if (to.dz && !stacked_) continue;
    for (const int64_t step : {to.dz * pitch_ + to.dy, -(to.dz * pitch_ + to.dy)}) {
      all_.push_back(step);
      if (to.diagonal) {
        slanted_.push_back(step);
      } else {
        straight_[straight++] = step;
      }
    }
  }
  const int64_t rows = row_of(last, rows_) + 1;
  candidates_.resize(static_cast<size_t>(rows * words_));
  reached_.resize(candidates_.size());
  wave_.resize(static_cast<size_t>(words_));
  side_.resize(static_cast<size_t>(words_));
  due_.resize(static_cast<size_t>(rows / 64 + 1));
}

void FloodedPart::start_at_faces(int64_t z, int64_t y, uint64_t* row) const {
  const Shape& shape = scan_.shape;
  const unsigned faces = (z == 0) * z_low | (z == shape.z - 1) * z_high | (y == 0) * y_low | (y == shape.y - 1) * y_high;
  if (faces & scan_.open_faces) std::fill(row, row + words_, ~uint64_t{0});
  if (scan_.open_faces & x_low) row[0] |= 1;
  if (scan_.open_faces & x_high) row[words_ - 1] |= uint64_t{1} << ((shape.x - 1) & 63);
}

void FloodedPart::read() {
  const RowReader reader(scan_);
  for (int64_t unit = first_; unit < last_; ++unit) {
    for (int64_t i = 0; i < rows_; ++i) {
      const int64_t z = stacked_ ? unit : 0, y = stacked_ ? i : unit, row = row_of(unit, i);
      uint64_t *to = candidates(row), *here = reached(row);
      reader.read(n_, z, y, to);
      start_at_faces(z, y, here);
      uint64_t any = 0, dry = 0;
      for (int64_t k = 0; k < words_; ++k) any |= here[k] &= to[k];
      if (look_around(row) | any) spread(row);
      for (int64_t k = 0; k < words_; ++k) dry |= to[k] & ~here[k];
      due_[static_cast<size_t>(row >> 6)] |= uint64_t{dry != 0} << (row & 63);
    }
  }
}

void FloodedPart::start_at(int64_t z, int64_t y, int64_t x) {
  const int64_t row = stacked_ ? row_of(z, y) : row_of(y, 0);
  std::fill(wave_.begin(), wave_.end(), uint64_t{0});
  wave_[static_cast<size_t>(x >> 6)] = candidates(row)[x >> 6] & uint64_t{1} << (x & 63);
  spread(row);
  tell_neighbours(row);
}

// What the rows around have reached of this row, and it has not yet.
uint64_t FloodedPart::look_around(int64_t row) {
  const uint64_t *to = candidates(row), *here = reached(row);
  const uint64_t *a = here + straight_[0] * words_, *b = here + straight_[1] * words_;
  const uint64_t *c = here + straight_[2] * words_, *d = here + straight_[3] * words_;
  uint64_t any = 0;
  for (int64_t k = 0; k < words_; ++k) any |= wave_[k] = (a[k] | b[k] | c[k] | d[k]) & to[k] & ~here[k];
  if (!slanted_.empty()) any |= look_aslant(row);
  return any;
}

// The same where runs may touch at corners along x too.
uint64_t FloodedPart::look_aslant(int64_t row) {
  std::fill(side_.begin(), side_.end(), uint64_t{0});
  for (const int64_t step : slanted_) {
    for (int64_t k = 0; k < words_; ++k) side_[k] |= reached(row + step)[k];
  }
  uint64_t below = 0, any = 0;
  for (int64_t k = 0; k < words_; ++k) {
    const uint64_t above = k + 1 < words_ ? side_[k + 1] << 63 : 0;
    const uint64_t wide = side_[k] | side_[k] << 1 | side_[k] >> 1 | below | above;
    below = side_[k] >> 63;
    any |= wave_[k] |= wide & candidates(row)[k] & ~reached(row)[k];
  }
  return any;
}

// Along the row, from what was reached before and what came by the wave.
void FloodedPart::spread(int64_t row) {
  const uint64_t* to = candidates(row);
  uint64_t *here = reached(row), carry = 0;
  for (int64_t k = 0; k < words_; ++k) {
    here[k] = fill_up(here[k] | wave_[k] | (carry & to[k]), to[k]);
    carry = here[k] >> 63;
  }
  carry = 0;
  for (int64_t k = words_; k-- > 0;) {
    // Mostly there is nothing to do.
    if ((here[k] >> 1 | carry << 63) & to[k] & ~here[k]) here[k] = fill_down(here[k] | (carry << 63 & to[k]), to[k]);
    carry = here[k] & 1;
  }
}

void FloodedPart::visit(int64_t row) {
  ++visits_;
  if (!look_around(row)) return;
  spread(row);
  tell_neighbours(row);
}

void FloodedPart::tell_neighbours(int64_t row) {
  for (const int64_t step : all_) {
    const int64_t other = row + step;
    if (other >= begin_ && other < end_) due_[static_cast<size_t>(other >> 6)] |= uint64_t{1} << (other & 63);
  }
}

// Visits the rows that are due, and those that become so ahead. Returns whether there were any.
template <bool forward>
bool FloodedPart::sweep() {
  bool any = false;
  const size_t count = due_.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t k = forward ? i : count - 1 - i;
    uint64_t ahead = ~uint64_t{0};
    while (const uint64_t due = due_[k] & ahead) {
      const int bit = forward ? lowest_bit(due) : highest_bit(due);
      const uint64_t here = uint64_t{1} << bit;
      due_[k] ^= here;
      ahead = forward ? ~(here | (here - 1)) : here - 1;
      visit(static_cast<int64_t>(k) * 64 + bit);
      any = true;
    }
  }
  return any;
}

bool FloodedPart::settle() {
  // Reading went forward, so that much of what is left is reached on the way back.
  for (bool any = true, forward = false; any; forward = !forward) {
    if (visits_ > most_visits * (end_ - begin_)) return false;
    any = forward ? sweep<true>() : sweep<false>();
  }
  return true;
}

bool FloodedPart::show(const FloodedPart& other, int64_t unit) {
  bool any = false;
  for (int64_t i = 0; i < rows_; ++i) {
    const uint64_t* from = other.reached(other.row_of(unit, i));
    uint64_t* to = reached(row_of(unit, i));
    if (std::equal(from, from + words_, to)) continue;
    std::copy(from, from + words_, to);
    tell_neighbours(row_of(unit, i));
    any = true;
  }
  return any;
}

bool FloodedPart::see(const FloodedPart* before, const FloodedPart* after) {
  const bool any = before && show(*before, first_ - 1);
  return (after && show(*after, last_)) || any;
}

int64_t FloodedPart::find_dry_rows() {
  for (int64_t row = begin_; row < end_; ++row) {
    uint64_t dry = 0;
    for (int64_t k = 0; k < words_; ++k) dry |= candidates(row)[k] & ~reached(row)[k];
    if (dry) dry_rows_.push_back(row);
  }
  return static_cast<int64_t>(dry_rows_.size());
}

}  // namespace masks
