// Which two cells share a facet, by the keys that both sides gave it.
#pragma once
#include <algorithm>
#include <vector>

#include "sink.hpp"
#include "threads.hpp"

namespace polytope {

struct Matched {
  Buffer<Index> pairs;  // two names each, the first one first
  Index odd = 0;        // keys that are not in one pair of different cells
};

struct Keyed {  // a facet
  Bits key;
  std::int32_t cell, place;  // -1 - cell once it is in a pair
};

// The pairs among the facets of a group, by open addressing; a table of `size` numbers, a power of two.
inline void match_group(Keyed* facets, Index n, std::int32_t* table, std::size_t size, bool places, Matched& out) {
  std::fill_n(table, size, -1);
  Index* pairs = out.pairs.extend(n);
  Index n_pairs = 0;
  for (Index i = 0; i < n; ++i) {
    const Keyed& one = facets[i];
    std::size_t h = one.key & (size - 1);
    while (table[h] >= 0 && facets[table[h]].key != one.key) h = (h + 1) & (size - 1);
    if (table[h] < 0) {
      table[h] = std::int32_t(i);
      continue;
    }
    Keyed& other = facets[table[h]];
    if (other.cell < 0 || other.cell == one.cell) continue;
    pairs[2 * n_pairs] = places ? other.place : other.cell;
    pairs[2 * n_pairs + 1] = places ? one.place : one.cell;
    ++n_pairs;
    other.cell = -1 - other.cell;
  }
  out.pairs.shrink(out.pairs.size() - n + 2 * n_pairs);
  out.odd += n - 2 * n_pairs;
}

// The pairs of cells (or of places of facets) with equal keys whose top bits lie in first .. last - 1; key 0 is none.
// Cell c has the facets begin[c] .. begin[c + 1] - 1. One group with equal top bits fits into the cache.
inline void match_part(const Bits* key, const Index* begin, Index cells, int bits, Index first, Index last, bool places,
                       Matched& out) {
  const int shift = 64 - bits;
  const auto is_mine = [&](Bits k) { return k && first <= Index(k >> shift) && Index(k >> shift) < last; };
  std::vector<Index> start(last - first + 1, 0);
  for (Index i = 0; i < begin[cells]; ++i)
    if (is_mine(key[i])) ++start[Index(key[i] >> shift) - first + 1];
  const Index most = *std::max_element(start.begin(), start.end());
  for (Index g = 0; g < last - first; ++g) start[g + 1] += start[g];
  Buffer<Keyed> facets;
  facets.extend(start.back());
  std::vector<Index> at(start.begin(), start.end() - 1);
  for (Index c = 0; c < cells; ++c)
    for (Index i = begin[c]; i < begin[c + 1]; ++i)
      if (is_mine(key[i])) facets[at[Index(key[i] >> shift) - first]++] = {key[i], std::int32_t(c), std::int32_t(i)};
  std::size_t size = 16;
  while (size < 2 * std::size_t(most)) size *= 2;
  std::vector<std::int32_t> table(size);
  out.pairs.extend(start.back());  // room for all at once
  out.pairs.shrink(0);
  for (Index g = 0; g < last - first; ++g)
    match_group(facets.data() + start[g], start[g + 1] - start[g], table.data(), size, places, out);
}

inline std::vector<Matched> match(const Bits* key, const Index* begin, Index cells, bool places, int workers) {
  int bits = 1;
  while ((begin[cells] >> bits) > 1024 || (1 << bits) < workers) ++bits;
  std::vector<Matched> parts(workers);
  const Index groups = Index(1) << bits;
  all_at_once(workers, [&](int w) {
    match_part(key, begin, cells, bits, groups * w / workers, groups * (w + 1) / workers, places, parts[w]);
  });
  return parts;
}

}  // namespace polytope
