// The C++ kernels without Python, for the sanitizers: random masks in memory that fits them to the byte, against a flood
// fill that anyone can check by reading. Usage: random_masks COUNT. Exits with 1 at the first difference.
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "../cpu/operations.hpp"
#include "../cpu/processor.hpp"
#include "../cpu/thread_pool.hpp"

using namespace masks;

namespace {

bool touching(int connectivity, int dz, int dy, int dx) {
  const int apart = std::abs(dz) + std::abs(dy) + std::abs(dx);
  switch (connectivity) {
    case 4: return dz == 0 && apart == 1;
    case 8: return dz == 0;
    case 6: return apart == 1;
    case 18: return apart <= 2;
    default: return true;
  }
}

// Components by flood fill, numbered from 1 in raster order, in each mask anew.
std::vector<int32_t> flooded(const std::vector<uint8_t>& set, const Shape& s, int connectivity) {
  std::vector<int32_t> label(set.size(), 0);
  std::vector<int64_t> stack;
  const int64_t voxels = s.z * s.y * s.x;
  for (int64_t n = 0; n < s.n; ++n) {
    int32_t count = 0;
    for (int64_t start = 0; start < voxels; ++start) {
      if (!set[size_t(n * voxels + start)] || label[size_t(n * voxels + start)]) continue;
      label[size_t(n * voxels + start)] = ++count;
      stack.assign(1, start);
      while (!stack.empty()) {
        const int64_t at = stack.back(), z = at / (s.y * s.x), y = at / s.x % s.y, x = at % s.x;
        stack.pop_back();
        for (int dz = -1; dz <= 1; ++dz)
          for (int dy = -1; dy <= 1; ++dy)
            for (int dx = -1; dx <= 1; ++dx) {
              const int64_t w = z + dz, v = y + dy, u = x + dx;
              if (!touching(connectivity, dz, dy, dx) || w < 0 || w >= s.z || v < 0 || v >= s.y || u < 0 || u >= s.x) continue;
              const int64_t next = (w * s.y + v) * s.x + u;
              int32_t& there = label[size_t(n * voxels + next)];
              if (!set[size_t(n * voxels + next)] || there) continue;
              there = count;
              stack.push_back(next);
            }
      }
    }
  }
  return label;
}


Strides strides_of(const Shape& s, int64_t item) { return {s.z * s.y * s.x * item, s.y * s.x * item, s.x * item, item}; }

// Whether a voxel of a mask lies on a face behind which nothing is known.
bool on_open_face(const Shape& s, int64_t voxel, unsigned open_faces) {
  const int64_t x = voxel % s.x, y = voxel / s.x % s.y, z = voxel / s.x / s.y;
  const bool reached[6] = {z == 0, z == s.z - 1, y == 0, y == s.y - 1, x == 0, x == s.x - 1};
  for (unsigned face = 0; face < 6; ++face) {
    if (reached[face] && (open_faces >> face & 1)) return true;
  }
  return false;
}

// Larger than any size that is asked for.
constexpr int64_t never = int64_t{1} << 32;

bool check(std::mt19937& random, int level) {
  limit_level(static_cast<Level>(level));
  const auto below = [&](int limit) { return static_cast<int64_t>(random() % static_cast<unsigned>(limit)); };
  const bool flat = below(2) == 0;
  const Shape s{1 + below(3), flat ? 1 : 1 + below(below(4) ? 12 : 60), 1 + below(14), 1 + below(below(4) ? 70 : 300)};
  const int choices[2][3] = {{6, 18, 26}, {4, 8, 4}};
  const int connectivity = choices[flat][below(3)];
  const int64_t voxels = s.n * s.z * s.y * s.x;
  const bool background = below(2), scores = below(3) == 0;
  const int64_t density = 1 + below(9), size = below(12);
  const unsigned open_faces = background && below(2) ? (flat ? 60 : 63) : 0;
  const int threads = static_cast<int>(1 + below(4));
  // Exactly as many bytes as there are voxels, so that one too many is seen.
  std::vector<uint8_t> set(static_cast<size_t>(voxels)), bytes(set.size());
  std::vector<float> numbers(set.size());
  for (size_t i = 0; i < set.size(); ++i) {
    set[i] = below(10) < density;
    bytes[i] = set[i] ? static_cast<uint8_t>(1 + below(255)) : 0;
    numbers[i] = set[i] ? 1.5f : 0.5f;
  }
  Scan scan;
  scan.shape = s;
  scan.neighbours = neighbourhood(connectivity);
  scan.background = background;
  scan.open_faces = open_faces;
  scan.voxels = scores ? Voxels::scores : Voxels::bytes;
  scan.test = scores ? Test::above : Test::not_zero;
  scan.threshold = 0.5f;
  scan.in = {scores ? reinterpret_cast<const char*>(numbers.data()) : reinterpret_cast<const char*>(bytes.data()),
             strides_of(s, scores ? 4 : 1)};

  std::vector<uint8_t> colour(set.size());
  for (size_t i = 0; i < set.size(); ++i) colour[i] = set[i] != background;
  const std::vector<int32_t> labels = flooded(colour, s, connectivity);
  std::vector<uint8_t> out(set.size(), 9);
  scan.out = {reinterpret_cast<char*>(out.data()), strides_of(s, 1)};
  scan.copy = below(2) ? Copy::all : Copy::streamed;
  Choice choice;
  choice.rule = std::array{Choice::Rule::at_most, Choice::Rule::all, Choice::Rule::untouched}[size_t(below(3))];
  choice.size = size;
  std::vector<uint8_t> spared(set.size());
  for (int64_t i = below(5); i > 0; --i) {
    const int64_t n = below(int(s.n)), z = below(int(s.z)), y = below(int(s.y)), x = below(int(s.x));
    choice.points.insert(choice.points.end(), {n, z, y, x});
    spared[size_t(((n * s.z + z) * s.y + y) * s.x + x)] = 1;
  }
  clean(scan, choice, {scan.out, Voxels::bytes, static_cast<uint8_t>(background), 0}, threads);
  for (int64_t n = 0; n < s.n; ++n) {
    const int64_t each = voxels / s.n;
    const int64_t most = choice.rule == Choice::Rule::at_most ? size : each;
    std::vector<int64_t> count(static_cast<size_t>(each) + 1, 0);
    for (int64_t i = n * each; i < (n + 1) * each; ++i) {
      ++count[size_t(labels[size_t(i)])];
      if (spared[size_t(i)] || on_open_face(s, i - n * each, open_faces)) count[size_t(labels[size_t(i)])] += never;
    }
    for (int64_t i = n * each; i < (n + 1) * each; ++i) {
      const bool turned = labels[size_t(i)] && count[size_t(labels[size_t(i)])] <= most;
      const uint8_t before = scores ? set[size_t(i)] : bytes[size_t(i)];
      if (out[size_t(i)] != (turned ? static_cast<uint8_t>(background) : before)) return false;
    }
  }

  if (!background) {
    std::vector<int32_t> numbered(set.size(), -1);
    std::vector<int32_t> counts(static_cast<size_t>(s.n));
    scan.out = {};
    scan.copy = Copy::none;
    label(scan, {reinterpret_cast<char*>(numbered.data()), strides_of(s, 4)}, false, counts.data(), threads);
    if (numbered != labels) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 1000;
  for (int level = 0; level < 3; ++level) {
    std::mt19937 random(static_cast<unsigned>(level));
    for (int i = 0; i < count; ++i) {
      if (!check(random, level)) {
        std::printf("level %d: mask %d differs\n", level, i);
        return 1;
      }
    }
  }
  // Several callers at once, for the pool they share.
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (unsigned caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      std::mt19937 random(100 + caller);
      for (int i = 0; i < count / 4; ++i) wrong += !check(random, 2);
    });
  }
  for (std::thread& caller : callers) caller.join();
  std::printf("%d masks at each of 3 levels and %d by 4 callers at once: %s\n", count, count, wrong ? "differ" : "equal");
  return wrong != 0;
}
