// What is scanned, and how.
#pragma once
#include "geometry.hpp"
#include "packing.hpp"

namespace masks {

struct Scan {
  Shape shape;
  View<const char> in;
  Voxels voxels = Voxels::bytes;
  Test test = Test::not_zero;
  float threshold = 0;

  View<char> out;  // data is null where the scan need not write
  Copy copy = Copy::none;

  bool background = false;  // components of what is not set
  Neighbourhood neighbours;
  unsigned open_faces = 0;
};

}  // namespace masks
