// What the standard library has only since C++20, and the marks that let one binary hold code for several processors.
#pragma once
#include <cstdint>
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define MASKS_X86 1
#endif

// GCC and Clang compile a function for another processor only when told; MSVC always may.
#if defined(MASKS_X86) && (defined(__GNUC__) || defined(__clang__))
#define MASKS_TARGET(features) __attribute__((target(features)))
#else
#define MASKS_TARGET(features)
#endif
#if defined(__GNUC__) || defined(__clang__)
#define MASKS_INLINE inline __attribute__((always_inline))
#else
#define MASKS_INLINE __forceinline
#endif

namespace masks {

MASKS_INLINE int lowest_bit(uint64_t word) {
#if defined(_MSC_VER) && !defined(__clang__)
  unsigned long index;
  _BitScanForward64(&index, word);
  return static_cast<int>(index);
#else
  return __builtin_ctzll(word);
#endif
}

MASKS_INLINE int highest_bit(uint64_t word) {
#if defined(_MSC_VER) && !defined(__clang__)
  unsigned long index;
  _BitScanReverse64(&index, word);
  return static_cast<int>(index);
#else
  return 63 - __builtin_clzll(word);
#endif
}

// Inlined into a function compiled for a processor that counts bits, this is one instruction.
MASKS_INLINE uint32_t count_bits(uint64_t word) {
#if defined(__GNUC__) || defined(__clang__)
  return static_cast<uint32_t>(__builtin_popcountll(word));
#else
  word -= (word >> 1) & 0x5555555555555555u;
  word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<uint32_t>((word * 0x0101010101010101u) >> 56);
#endif
}

}  // namespace masks
