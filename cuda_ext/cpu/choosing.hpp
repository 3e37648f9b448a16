// Which components are to be turned over.
#pragma once
#include <cstdint>
#include <vector>

#include "components.hpp"
#include "operations.hpp"

namespace masks {

// One byte for each component of `all`, 0 for those left alone. Empty when none is chosen.
template <class Coordinate>
std::vector<uint8_t> choose(const Components<Coordinate>& all, const Choice& choice, int threads);

extern template std::vector<uint8_t> choose(const Components<uint16_t>&, const Choice&, int);
extern template std::vector<uint8_t> choose(const Components<uint32_t>&, const Choice&, int);

}  // namespace masks
