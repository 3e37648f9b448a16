// One value into a stretch of a row.
#pragma once
#include <algorithm>
#include <cstdint>

namespace masks {

// From start to stop, exclusive, of a row whose voxels lie `step` bytes apart.
template <class Value>
void write_run(char* row, int64_t step, int64_t start, int64_t stop, Value value) {
  if (step == int64_t{sizeof(Value)}) {
    std::fill(reinterpret_cast<Value*>(row) + start, reinterpret_cast<Value*>(row) + stop, value);
  } else {
    for (int64_t x = start; x < stop; ++x) *reinterpret_cast<Value*>(row + x * step) = value;
  }
}

}  // namespace masks
