// Where the voxels of masks lie, and which of them are neighbours.
#pragma once
#include <cstdint>

namespace masks {

// n masks of z slices of y rows of x voxels. Masks of a batch never touch each other; in 2D every slice is a mask (z = 1).
struct Shape {
  int64_t n = 0, z = 0, y = 0, x = 0;
  int64_t slices() const { return n * z; }
  int64_t rows() const { return n * z * y; }
  bool empty() const { return n == 0 || z == 0 || y == 0 || x == 0; }
};

// In bytes; negative or zero where an array was flipped or broadcast.
struct Strides {
  int64_t n = 0, z = 0, y = 0, x = 0;
};

template <class Byte>
struct View {
  Byte* data = nullptr;
  Strides strides;
  Byte* row(int64_t n, int64_t z, int64_t y) const { return data + n * strides.n + z * strides.z + y * strides.y; }
};

// A row already scanned whose runs may touch those of the row being scanned.
struct Neighbour {
  int dz, dy;
  bool diagonal;  // runs that meet only at a corner along x count as touching
};

struct Neighbourhood {
  Neighbour rows[4];
  int count = 0;
};

// connectivity is 4 or 8 within slices, 6, 18 or 26 across them.
inline Neighbourhood neighbourhood(int connectivity) {
  switch (connectivity) {
    case 4: return {{{0, -1, false}}, 1};
    case 8: return {{{0, -1, true}}, 1};
    case 6: return {{{0, -1, false}, {-1, 0, false}}, 2};
    case 18: return {{{0, -1, true}, {-1, 0, true}, {-1, -1, false}, {-1, 1, false}}, 4};
    default: return {{{0, -1, true}, {-1, 0, true}, {-1, -1, true}, {-1, 1, true}}, 4};
  }
}

// Faces behind which nothing is known: a component that reaches one is left as it is.
enum Face : unsigned { z_low = 1, z_high = 2, y_low = 4, y_high = 8, x_low = 16, x_high = 32 };

}  // namespace masks
