// How the memory that the kernels work in is divided.
#pragma once
#include <cstdint>

#include "phases.hpp"

namespace masks_gpu {

MASKS_GPU int64_t in_lines(int64_t bytes) { return (bytes + 255) / 256 * 256; }

// Of one mask.
MASKS_GPU int64_t workspace_of(const Geometry& g, bool is_sized) {
  return in_lines(g.all_words() * 4) + in_lines(g.nodes() * 4) * (is_sized ? 2 : 1);
}

// Whether 32 bits number the nodes of a mask.
inline bool fits(const Geometry& g) { return g.nodes() <= int64_t{0xffffffff}; }

MASKS_GPU Place place_of(const Task& task, int64_t number, const void* in, uint8_t* out, char* workspace) {
  const Geometry& g = task.geometry;
  char* own = workspace + number * workspace_of(g, task.rule != all);
  const int64_t voxel = number * g.voxels();
  Place at;
  at.in = static_cast<const char*>(in) + voxel * (task.is_scores ? 4 : 1);
  at.out = out + voxel;
  at.bits = reinterpret_cast<uint32_t*>(own);
  at.parent = reinterpret_cast<uint32_t*>(own + in_lines(g.all_words() * 4));
  at.count = reinterpret_cast<uint32_t*>(own + in_lines(g.all_words() * 4) + in_lines(g.nodes() * 4));
  return at;
}

}  // namespace masks_gpu
