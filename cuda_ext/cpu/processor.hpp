// What the processor at hand can do; asked once.
#pragma once
#include "bit_tricks.hpp"

namespace masks {

enum class Level { baseline, avx2, avx512 };

// The best level, or the lower one that was asked for (to test and to measure).
Level level();
void limit_level(Level highest);
const char* level_name();

}  // namespace masks
