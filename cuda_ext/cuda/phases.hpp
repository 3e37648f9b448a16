// What each GPU thread does, one function for each kernel, without anything of CUDA in it: the kernels call it on the
// GPU, and ../emulation on the CPU with its threads in random order.
//
// A mask is one bit per voxel, 32 to a word. A run of bits is a node; its number is the place of its first bit halved,
// plus one: unique, since two runs start at least two bits apart, and known without counting. So parents exist only
// where runs start, nothing need be zeroed, and node 0 is what lies beyond the open faces. Disjoint sets with atomicMin as
// in Komura (2015), "GPU-based cluster-labeling algorithm without the use of conventional iteration", and Allegretti,
// Bolelli & Grana (2019), "Optimized block-based algorithms to label connected components on GPUs".
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define MASKS_GPU __host__ __device__ __forceinline__
#else
#define MASKS_GPU inline
#endif

namespace masks_gpu {

// One mask of z slices of y rows of x voxels, in `words` words a row.
struct Geometry {
  int32_t z, y, x, words;
  int32_t connectivity;   // 4, 8, 6, 18 or 26
  uint32_t open_faces;    // as in ../cpu/geometry.hpp
  int32_t background;     // components of what is not set
  MASKS_GPU int64_t rows() const { return int64_t{z} * y; }
  MASKS_GPU int64_t all_words() const { return rows() * words; }
  MASKS_GPU int64_t voxels() const { return rows() * x; }
  MASKS_GPU int64_t nodes() const { return all_words() * 16 + 1; }
};

enum Face : uint32_t { z_low = 1, z_high = 2, y_low = 4, y_high = 8, x_low = 16, x_high = 32 };
enum Rule : int32_t { all = 0, at_most = 1, fewer_than = 2 };

struct Task {
  Geometry geometry;
  int32_t rule;
  uint32_t size;
  int32_t is_scores;
  float threshold;
};

// Where one mask lies, and the memory to work on it.
struct Place {
  const void* in;
  uint8_t* out;
  uint32_t* bits;
  uint32_t* parent;
  uint32_t* count;  // voxels of each component, for rules that ask
};

MASKS_GPU uint32_t lowest(uint32_t word) {
#ifdef __CUDA_ARCH__
  return __ffs(word) - 1;
#else
  return __builtin_ctz(word);
#endif
}

MASKS_GPU uint32_t leading_zeros(uint32_t word) {
#ifdef __CUDA_ARCH__
  return __clz(word);
#else
  return __builtin_clz(word);
#endif
}

// Past the first-level cache, which does not see what other blocks wrote.
MASKS_GPU uint32_t load(const uint32_t* from) {
#ifdef __CUDA_ARCH__
  return __ldcg(from);
#else
  return __atomic_load_n(from, __ATOMIC_RELAXED);
#endif
}

MASKS_GPU uint32_t atomic_min(uint32_t* at, uint32_t value) {
#ifdef __CUDA_ARCH__
  return atomicMin(at, value);
#else
  uint32_t old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value < old && !__atomic_compare_exchange_n(at, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
#endif
}

MASKS_GPU void atomic_add(uint32_t* at, uint32_t value) {
#ifdef __CUDA_ARCH__
  atomicAdd(at, value);
#else
  __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
#endif
}

// A word of what is labelled; bits past the end of the row are zero.
MASKS_GPU uint32_t colour(const Place& at, const Geometry& g, int64_t row, int32_t word) {
  const uint32_t bits = at.bits[row * g.words + word];
  if (!g.background) return bits;
  const uint32_t tail = word == g.words - 1 && (g.x & 31) ? (1u << (g.x & 31)) - 1 : ~0u;
  return ~bits & tail;
}

// Node of the run that holds the voxel x of a row; the voxel is set.
MASKS_GPU uint32_t node_at(const Place& at, const Geometry& g, int64_t row, int32_t x) {
  int32_t word = x >> 5;
  uint32_t gaps = ~colour(at, g, row, word) & (~0u >> (31 - (x & 31)));
  while (!gaps) {
    if (word == 0) return static_cast<uint32_t>(row * g.words * 16 + 1);
    gaps = ~colour(at, g, row, --word);
  }
  const int32_t start = word * 32 + 32 - static_cast<int32_t>(leading_zeros(gaps));
  return static_cast<uint32_t>(row * g.words * 16 + (start >> 1) + 1);
}

MASKS_GPU uint32_t find_root(const uint32_t* parent, uint32_t node) {
  while (node) {
    const uint32_t next = load(parent + node);
    if (next == node) break;
    node = next;
  }
  return node;
}

MASKS_GPU void unite(uint32_t* parent, uint32_t a, uint32_t b) {
  for (;;) {
    a = find_root(parent, a);
    b = find_root(parent, b);
    if (a == b) return;
    if (a < b) {
      const uint32_t c = a;
      a = b;
      b = c;
    }
    const uint32_t old = atomic_min(parent + a, b);
    if (old == a) return;
    a = old;  // somebody was faster: go on from what they wrote
  }
}

// 16 bytes in one load on the GPU.
struct alignas(16) Sixteen {
  uint32_t four[4];
};

// Four bytes to four bits.
MASKS_GPU uint32_t four_bits(uint32_t bytes) {
  const uint32_t low = 0x7f7f7f7fu;
  const uint32_t set = ((((bytes & low) + low) | bytes) & ~low) >> 7;
  return (set * 0x10204080u) >> 28;
}

MASKS_GPU uint32_t pack_bytes(const uint8_t* row, uint8_t* out, int32_t first, int32_t x) {
  uint32_t bits = 0;
  if (first + 32 <= x && (reinterpret_cast<uintptr_t>(row + first) & 15) == 0 &&
      (!out || (reinterpret_cast<uintptr_t>(out + first) & 15) == 0)) {
    for (int half = 0; half < 2; ++half) {
      const Sixteen v = *reinterpret_cast<const Sixteen*>(row + first + 16 * half);
      if (out) *reinterpret_cast<Sixteen*>(out + first + 16 * half) = v;
      for (int k = 0; k < 4; ++k) bits |= four_bits(v.four[k]) << (16 * half + 4 * k);
    }
    return bits;
  }
  for (int32_t i = first; i < x && i < first + 32; ++i) {
    bits |= static_cast<uint32_t>(row[i] != 0) << (i - first);
    if (out) out[i] = row[i];
  }
  return bits;
}

MASKS_GPU uint32_t pack_scores(const float* row, uint8_t* out, int32_t first, int32_t x, float threshold) {
  uint32_t bits = 0;
  for (int32_t i = first; i < x && i < first + 32; ++i) {
    const bool is_set = row[i] > threshold;
    bits |= static_cast<uint32_t>(is_set) << (i - first);
    out[i] = is_set;
  }
  return bits;
}

// The phases, each for one word. All words must be done with one before any begins the next.

MASKS_GPU void pack(const Place& at, const Task& task, int64_t i) {
  const Geometry& g = task.geometry;
  const int64_t row = i / g.words;
  const int32_t first = static_cast<int32_t>(i - row * g.words) * 32;
  if (task.is_scores) {
    const float* in = static_cast<const float*>(at.in) + row * g.x;
    at.bits[i] = pack_scores(in, at.out + row * g.x, first, g.x, task.threshold);
  } else {
    const uint8_t* in = static_cast<const uint8_t*>(at.in) + row * g.x;
    at.bits[i] = pack_bytes(in, at.in == at.out ? nullptr : at.out + row * g.x, first, g.x);
  }
}

MASKS_GPU bool is_open_row(const Geometry& g, int64_t row) {
  const int32_t y = static_cast<int32_t>(row % g.y), z = static_cast<int32_t>(row / g.y);
  const uint32_t faces = (z == 0 ? z_low : 0u) | (z == g.z - 1 ? z_high : 0u) | (y == 0 ? y_low : 0u) |
                         (y == g.y - 1 ? y_high : 0u);
  return faces & g.open_faces;
}

MASKS_GPU void begin(const Place& at, const Task& task, int64_t i) {
  const Geometry& g = task.geometry;
  const int64_t row = i / g.words;
  const int32_t word = static_cast<int32_t>(i - row * g.words);
  const uint32_t bits = colour(at, g, row, word);
  uint32_t starts = bits & ~((bits << 1) | (word ? colour(at, g, row, word - 1) >> 31 : 0u));
  const bool is_open = is_open_row(g, row);
  for (; starts; starts &= starts - 1) {
    const int32_t x = word * 32 + static_cast<int32_t>(lowest(starts));
    const uint32_t node = static_cast<uint32_t>(row * g.words * 16 + (x >> 1) + 1);
    at.parent[node] = is_open || (x == 0 && (g.open_faces & x_low)) ? 0 : node;
    if (task.rule != all) at.count[node] = 0;
  }
}

MASKS_GPU void merge_rows(const Place& at, const Geometry& g, int64_t row, int64_t other, int32_t word, bool diagonal) {
  const uint32_t a = colour(at, g, row, word), b = colour(at, g, other, word);
  const uint32_t a_left = word ? colour(at, g, row, word - 1) : 0, b_left = word ? colour(at, g, other, word - 1) : 0;
  const uint32_t both = a & b;
  uint32_t contacts = both & ~((both << 1) | ((a_left & b_left) >> 31));
  for (; contacts; contacts &= contacts - 1) {
    const int32_t x = word * 32 + static_cast<int32_t>(lowest(contacts));
    unite(at.parent, node_at(at, g, row, x), node_at(at, g, other, x));
  }
  if (!diagonal) return;
  // Runs that meet at a corner only: one starts just right of where the other ended.
  for (uint32_t corners = a & ~b & ((b << 1) | (b_left >> 31)); corners; corners &= corners - 1) {
    const int32_t x = word * 32 + static_cast<int32_t>(lowest(corners));
    unite(at.parent, node_at(at, g, row, x), node_at(at, g, other, x - 1));
  }
  for (uint32_t corners = b & ~a & ((a << 1) | (a_left >> 31)); corners; corners &= corners - 1) {
    const int32_t x = word * 32 + static_cast<int32_t>(lowest(corners));
    unite(at.parent, node_at(at, g, row, x - 1), node_at(at, g, other, x));
  }
}

MASKS_GPU void merge(const Place& at, const Task& task, int64_t i) {
  const Geometry& g = task.geometry;
  const int64_t row = i / g.words;
  const int32_t word = static_cast<int32_t>(i - row * g.words);
  const int32_t y = static_cast<int32_t>(row % g.y);
  const bool wide = g.connectivity == 8 || g.connectivity == 18 || g.connectivity == 26, widest = g.connectivity == 26;
  if (word == g.words - 1 && (g.open_faces & x_high) && (colour(at, g, row, word) >> ((g.x - 1) & 31) & 1)) {
    unite(at.parent, node_at(at, g, row, g.x - 1), 0);
  }
  if (y > 0) merge_rows(at, g, row, row - 1, word, wide);
  if (row < g.y) return;
  merge_rows(at, g, row, row - g.y, word, wide);
  if (!wide) return;
  if (y > 0) merge_rows(at, g, row, row - g.y - 1, word, widest);
  if (y + 1 < g.y) merge_rows(at, g, row, row - g.y + 1, word, widest);
}

// Calls visit(root, bits of one run in this word) for all runs that are not beyond the faces.
template <class Visit>
MASKS_GPU void for_runs(const Place& at, const Geometry& g, int64_t i, Visit visit) {
  const int64_t row = i / g.words;
  const int32_t word = static_cast<int32_t>(i - row * g.words);
  uint32_t rest = colour(at, g, row, word);
  while (rest) {
    const uint32_t first = lowest(rest);
    // Adding the lowest bit carries through the run and stops at its end.
    const uint32_t run = rest & ~(rest + (rest & (0u - rest)));
    rest &= ~run;
    const uint32_t root = find_root(at.parent, node_at(at, g, row, word * 32 + static_cast<int32_t>(first)));
    if (root) visit(root, run);
  }
}

MASKS_GPU uint32_t set_bits(uint32_t word) {
#ifdef __CUDA_ARCH__
  return __popc(word);
#else
  return __builtin_popcount(word);
#endif
}

// Whether a component is larger than was asked for is all that counts, so that large ones stop being added to.
MASKS_GPU void measure(const Place& at, const Task& task, int64_t i) {
  const uint32_t enough = task.rule == at_most ? task.size + 1 : task.size;
  for_runs(at, task.geometry, i, [&](uint32_t root, uint32_t run) {
    if (load(at.count + root) < enough) atomic_add(at.count + root, set_bits(run));
  });
}

MASKS_GPU void turn_over(const Place& at, const Task& task, int64_t i) {
  const Geometry& g = task.geometry;
  const int64_t row = i / g.words;
  uint8_t* out = at.out + row * g.x + (i - row * g.words) * 32;
  for_runs(at, g, i, [&](uint32_t root, uint32_t run) {
    const uint32_t count = task.rule == all ? 0 : load(at.count + root);
    const bool chosen = task.rule == all || (task.rule == at_most ? count <= task.size : count < task.size);
    if (!chosen) return;
    for (; run; run &= run - 1) out[lowest(run)] = static_cast<uint8_t>(g.background);
  });
}

}  // namespace masks_gpu
