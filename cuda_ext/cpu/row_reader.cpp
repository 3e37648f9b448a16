#include "row_reader.hpp"

namespace masks {

RowReader::RowReader(const Scan& scan)
    : scan_(scan),
      copy_(pack_bytes(scan.copy)),
      unaligned_copy_(pack_bytes(scan.copy == Copy::streamed ? Copy::all : scan.copy)),
      test_only_(pack_bytes(Copy::none)),
      scores_(pack_scores(scan.test)) {}

void RowReader::read(int64_t n, int64_t z, int64_t y, uint64_t* words) const {
  read_set(n, z, y, words);
  if (!scan_.background) return;
  const int64_t x = scan_.shape.x, count = words_of(x);
  for (int64_t k = 0; k < count; ++k) words[k] = ~words[k];
  if (x & 63) words[count - 1] &= ~uint64_t{0} >> (64 - (x & 63));
}

void RowReader::read_set(int64_t n, int64_t z, int64_t y, uint64_t* words) const {
  const char* row = scan_.in.row(n, z, y);
  char* out = scan_.out.data && scan_.copy != Copy::none ? scan_.out.row(n, z, y) : nullptr;
  const int64_t x = scan_.shape.x, stride = scan_.in.strides.x;
  if (scan_.voxels == Voxels::scores) {
    const uint64_t any = stride == 4
                             ? scores_(reinterpret_cast<const float*>(row), scan_.threshold, words, x)
                             : pack_strided(row, stride, scan_.test, scan_.threshold, words, x);
    if (out && (any || scan_.copy != Copy::set_only)) write_bits(words, out);
    return;
  }
  const bool dense = stride == 1 && (!out || scan_.out.strides.x == 1);
  if (dense) {
    const auto pack = !out ? test_only_ : reinterpret_cast<uintptr_t>(out) & 15 ? unaligned_copy_ : copy_;
    pack(reinterpret_cast<const uint8_t*>(row), reinterpret_cast<uint8_t*>(out), words, x);
    return;
  }
  if (out) {
    const int64_t step = scan_.out.strides.x;
    for (int64_t i = 0; i < x; ++i) out[i * step] = row[i * stride];
  }
  pack_strided(row, stride, Test::not_zero, 0, words, x);
}

// A score becomes 1 or 0 in a mask.
void RowReader::write_bits(const uint64_t* words, char* out) const {
  const int64_t x = scan_.shape.x, step = scan_.out.strides.x;
  for (int64_t i = 0; i < x; ++i) out[i * step] = static_cast<char>((words[i >> 6] >> (i & 63)) & 1);
}

}  // namespace masks
