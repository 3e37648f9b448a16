#include "packing.hpp"

#include <cstring>

#include "processor.hpp"
#ifdef MASKS_X86
#include <immintrin.h>
#endif

namespace masks {
namespace {

// Bytes between what is read and what is asked for meanwhile: the work on one row's runs interrupts the reading too
// often for the processor to look ahead by itself. A quarter of the time of an organ in place, measured. Past the end
// of the memory it does nothing.
constexpr int64_t ahead = 1024;

bool set(const char* voxel, Test test, float threshold) {
  if (test == Test::not_zero) return *reinterpret_cast<const uint8_t*>(voxel) != 0;
  float score;
  std::memcpy(&score, voxel, sizeof score);
  return test == Test::above ? score > threshold : !(score <= threshold);
}

template <Copy copy>
MASKS_INLINE uint64_t pack_rest(const uint8_t* row, uint8_t* out, int64_t from, int64_t x) {
  uint64_t word = 0;
  for (int64_t i = from; i < x; ++i) {
    word |= static_cast<uint64_t>(row[i] != 0) << (i - from);
    if constexpr (copy == Copy::all || copy == Copy::streamed) out[i] = row[i];
    if constexpr (copy == Copy::set_only) {
      if (row[i]) out[i] = row[i];
    }
  }
  return word;
}

// Eight bytes to eight bits by arithmetic, for any little-endian processor: the top bit of each byte tells whether it
// is not zero, and one multiplication brings the eight bits together.
MASKS_INLINE uint64_t eight_bits(const uint8_t* bytes) {
  constexpr uint64_t low = 0x7f7f7f7f7f7f7f7fu;
  uint64_t v;
  std::memcpy(&v, bytes, 8);
  v = (((v & low) + low) | v) & ~low;
  return ((v >> 7) * 0x0102040810204080u) >> 56;
}

template <Copy copy>
uint64_t pack_bytes_baseline(const uint8_t* row, uint8_t* out, uint64_t* words, int64_t x) {
  uint64_t any = 0;
  int64_t i = 0;
  for (; i + 64 <= x; i += 64) {
    uint64_t word = 0;
#ifdef MASKS_X86
    const __m128i zero = _mm_setzero_si128();
    for (int k = 0; k < 4; ++k) {
      const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i + 16 * k));
      if constexpr (copy == Copy::streamed) _mm_stream_si128(reinterpret_cast<__m128i*>(out + i + 16 * k), v);
      const unsigned zeros = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(v, zero)));
      word |= static_cast<uint64_t>(~zeros & 0xffffu) << (16 * k);
    }
    if constexpr (copy == Copy::all) std::memcpy(out + i, row + i, 64);
#else
    for (int k = 0; k < 8; ++k) word |= eight_bits(row + i + 8 * k) << (8 * k);
    if constexpr (copy == Copy::all || copy == Copy::streamed) std::memcpy(out + i, row + i, 64);
#endif
    if constexpr (copy == Copy::set_only) {
      if (word) std::memcpy(out + i, row + i, 64);
    }
    *words++ = word;
    any |= word;
  }
  if (i < x) any |= *words = pack_rest<copy>(row, out, i, x);
  return any;
}

template <bool above>
uint64_t pack_scores_baseline(const float* row, float threshold, uint64_t* words, int64_t x) {
  uint64_t any = 0;
  for (int64_t i = 0; i < x; i += 64) {
    const int64_t count = x - i < 64 ? x - i : 64;
    uint64_t word = 0;
    for (int64_t k = 0; k < count; ++k) {
      const bool is = above ? row[i + k] > threshold : !(row[i + k] <= threshold);
      word |= static_cast<uint64_t>(is) << k;
    }
    *words++ = word;
    any |= word;
  }
  return any;
}

#ifdef MASKS_X86

template <Copy copy>
MASKS_TARGET("avx2")
uint64_t pack_bytes_avx2(const uint8_t* row, uint8_t* out, uint64_t* words, int64_t x) {
  uint64_t any = 0;
  int64_t i = 0;
  const __m256i zero = _mm256_setzero_si256();
  for (; i + 64 <= x; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(row) + i + ahead, _MM_HINT_T0);
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i + 32));
    const uint32_t low = ~static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, zero)));
    const uint32_t high = ~static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, zero)));
    const uint64_t word = low | static_cast<uint64_t>(high) << 32;
    if constexpr (copy == Copy::streamed) {
      // NumPy aligns to 16 bytes, so 16 at a time.
      __m128i* to = reinterpret_cast<__m128i*>(out + i);
      _mm_stream_si128(to, _mm256_castsi256_si128(a));
      _mm_stream_si128(to + 1, _mm256_extracti128_si256(a, 1));
      _mm_stream_si128(to + 2, _mm256_castsi256_si128(b));
      _mm_stream_si128(to + 3, _mm256_extracti128_si256(b, 1));
    } else if (copy == Copy::all || (copy == Copy::set_only && word)) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), a);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + 32), b);
    }
    *words++ = word;
    any |= word;
  }
  if (i < x) any |= *words = pack_rest<copy>(row, out, i, x);
  return any;
}

template <Copy copy>
MASKS_TARGET("avx512f,avx512bw")
uint64_t pack_bytes_avx512(const uint8_t* row, uint8_t* out, uint64_t* words, int64_t x) {
  uint64_t any = 0;
  int64_t i = 0;
  for (; i + 64 <= x; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(row) + i + ahead, _MM_HINT_T0);
    const __m512i v = _mm512_loadu_si512(row + i);
    const uint64_t word = _mm512_test_epi8_mask(v, v);
    if constexpr (copy == Copy::streamed) {
      __m128i* to = reinterpret_cast<__m128i*>(out + i);
      _mm_stream_si128(to, _mm512_castsi512_si128(v));
      _mm_stream_si128(to + 1, _mm512_extracti32x4_epi32(v, 1));
      _mm_stream_si128(to + 2, _mm512_extracti32x4_epi32(v, 2));
      _mm_stream_si128(to + 3, _mm512_extracti32x4_epi32(v, 3));
    } else if (copy == Copy::all || (copy == Copy::set_only && word)) {
      _mm512_storeu_si512(out + i, v);
    }
    *words++ = word;
    any |= word;
  }
  if (i < x) {
    const __mmask64 part = ~uint64_t{0} >> (64 - (x - i));
    const __m512i v = _mm512_maskz_loadu_epi8(part, row + i);
    const uint64_t word = _mm512_test_epi8_mask(v, v);
    if (copy == Copy::all || copy == Copy::streamed || (copy == Copy::set_only && word)) {
      _mm512_mask_storeu_epi8(out + i, part, v);
    }
    any |= *words = word;
  }
  return any;
}

template <bool above>
MASKS_TARGET("avx2")
uint64_t pack_scores_avx2(const float* row, float threshold, uint64_t* words, int64_t x) {
  constexpr int comparison = above ? _CMP_GT_OQ : _CMP_NLE_UQ;
  const __m256 limit = _mm256_set1_ps(threshold);
  uint64_t any = 0;
  int64_t i = 0;
  for (; i + 64 <= x; i += 64) {
    uint64_t word = 0;
    for (int k = 0; k < 8; ++k) {
      const __m256 v = _mm256_loadu_ps(row + i + 8 * k);
      const unsigned bits = static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(v, limit, comparison)));
      word |= static_cast<uint64_t>(bits) << (8 * k);
    }
    *words++ = word;
    any |= word;
  }
  if (i < x) any |= pack_scores_baseline<above>(row + i, threshold, words, x - i);
  return any;
}

template <bool above>
MASKS_TARGET("avx512f,avx512bw")
uint64_t pack_scores_avx512(const float* row, float threshold, uint64_t* words, int64_t x) {
  constexpr int comparison = above ? _CMP_GT_OQ : _CMP_NLE_UQ;
  const __m512 limit = _mm512_set1_ps(threshold);
  uint64_t any = 0;
  int64_t i = 0;
  for (; i + 64 <= x; i += 64) {
    uint64_t word = 0;
    for (int k = 0; k < 4; ++k) {
      const __m512 v = _mm512_loadu_ps(row + i + 16 * k);
      word |= static_cast<uint64_t>(_mm512_cmp_ps_mask(v, limit, comparison)) << (16 * k);
    }
    *words++ = word;
    any |= word;
  }
  if (i < x) any |= pack_scores_baseline<above>(row + i, threshold, words, x - i);
  return any;
}

#endif

template <Copy copy>
PackBytes best_bytes() {
#ifdef MASKS_X86
  if (level() == Level::avx512) return pack_bytes_avx512<copy>;
  if (level() == Level::avx2) return pack_bytes_avx2<copy>;
#endif
  return pack_bytes_baseline<copy>;
}

template <bool above>
PackScores best_scores() {
#ifdef MASKS_X86
  if (level() == Level::avx512) return pack_scores_avx512<above>;
  if (level() == Level::avx2) return pack_scores_avx2<above>;
#endif
  return pack_scores_baseline<above>;
}

}  // namespace

PackBytes pack_bytes(Copy copy) {
  switch (copy) {
    case Copy::all: return best_bytes<Copy::all>();
    case Copy::streamed: return best_bytes<Copy::streamed>();
    case Copy::set_only: return best_bytes<Copy::set_only>();
    default: return best_bytes<Copy::none>();
  }
}

PackScores pack_scores(Test test) { return test == Test::above ? best_scores<true>() : best_scores<false>(); }

uint64_t pack_strided(const char* row, int64_t stride, Test test, float threshold, uint64_t* words, int64_t x) {
  uint64_t any = 0;
  for (int64_t i = 0; i < x; i += 64) {
    const int64_t count = x - i < 64 ? x - i : 64;
    uint64_t word = 0;
    for (int64_t k = 0; k < count; ++k, row += stride) word |= static_cast<uint64_t>(set(row, test, threshold)) << k;
    *words++ = word;
    any |= word;
  }
  return any;
}

}  // namespace masks
