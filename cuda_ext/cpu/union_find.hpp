// Disjoint sets in one array. The smallest number of a set is its root, so that parents never exceed their children and
// one ascending pass settles everything. Path halving as in Tarjan & van Leeuwen (1984).
#pragma once
#include <cstdint>

#include "bit_tricks.hpp"

namespace masks {

MASKS_INLINE uint32_t find_root(uint32_t* parent, uint32_t i) {
  while (parent[i] != i) {
    parent[i] = parent[parent[i]];
    i = parent[i];
  }
  return i;
}

MASKS_INLINE void unite(uint32_t* parent, uint32_t a, uint32_t b) {
  if (parent[a] == parent[b]) return;
  a = find_root(parent, a);
  b = find_root(parent, b);
  if (a < b) {
    parent[b] = a;
  } else {
    parent[a] = b;
  }
}

}  // namespace masks
