#include "processor.hpp"

#include <algorithm>
#include <atomic>
#if defined(MASKS_X86) && defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace masks {
namespace {

Level detect() {
#if defined(MASKS_X86) && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  return avx2 && avx512 ? Level::avx512 : avx2 ? Level::avx2 : Level::baseline;
#elif defined(MASKS_X86) && defined(_MSC_VER)
  int leaf[4];
  __cpuid(leaf, 0);
  if (leaf[0] < 7) return Level::baseline;
  __cpuid(leaf, 1);
  const bool saved_by_system = leaf[2] & (1 << 27), popcnt = leaf[2] & (1 << 23);
  if (!saved_by_system || !popcnt) return Level::baseline;
  const unsigned long long state = _xgetbv(0);
  __cpuidex(leaf, 7, 0);
  const bool avx2 = (state & 6) == 6 && (leaf[1] & (1 << 5)) && (leaf[1] & (1 << 3));
  const bool avx512 = (state & 0xe6) == 0xe6 && (leaf[1] & (1 << 16)) && (leaf[1] & (1 << 30));
  return avx2 && avx512 ? Level::avx512 : avx2 ? Level::avx2 : Level::baseline;
#else
  return Level::baseline;
#endif
}

std::atomic<Level> highest{Level::avx512};

}  // namespace

Level level() {
  static const Level found = detect();
  return std::min(found, highest.load(std::memory_order_relaxed));
}

void limit_level(Level wanted) { highest = wanted; }

const char* level_name() {
  switch (level()) {
    case Level::avx512: return "AVX-512";
    case Level::avx2: return "AVX2";
    default: return "baseline";
  }
}

}  // namespace masks
