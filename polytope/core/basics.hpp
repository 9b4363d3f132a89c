// Words that all files of the core share: integers, bits, rounding, and the hash of a region.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace polytope {

using Index = std::int64_t;
using Bits = std::uint64_t;

constexpr double U = 0x1p-53;  // unit roundoff: x op y is exact up to the share U
constexpr int MOST_DIMENSIONS = 12;
constexpr double LOST_ROOT = 0x1p-500;  // more than the root of what sums of squares can lose by underflow
constexpr double INF = std::numeric_limits<double>::infinity();

// The signs that a function takes on a cell, as a set.
enum Signs : int { NONE = 0, NEGATIVE = 1, POSITIVE = 2, BOTH = 3, DOUBTFUL = 4 };

// The first n bits; all of a word, if n is more.
constexpr Bits first_bits(Index n) { return n < 64 ? (Bits(1) << n) - 1 : ~Bits(0); }

// Call `see` with the number of every bit that is set in so many words, in order.
template <class Word, class See>
[[gnu::always_inline]] inline void for_bits(Index words, const Word& word, const See& see) {
  for (Index w = 0; w < words; ++w)
    for (Bits left = word(w); left; left &= left - 1) see(64 * w + std::countr_zero(left));
}

// A 64-bit hash of (unit, piece); a region's is the sum over its units that are not on piece 0.
inline Bits mix(Index unit, Index piece) {
  Bits x = (Bits(unit) << 7) + Bits(piece) + 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x + 0x632BE59BD9B4E019u) * 0xD6E8FEB86659FD93u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// What a unit adds to a facet's key: its piece on the other side, and that it is one of the facet's.
inline Bits across(Index unit, Index piece) { return (piece ? mix(unit, piece) : 0) + mix(unit, 127); }

}  // namespace polytope
