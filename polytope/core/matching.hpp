// Which two cells share a facet, by the keys that both sides gave it.
#pragma once
#include <algorithm>
#include <vector>

#include "basics.hpp"
#include "threads.hpp"

namespace polytope {

struct Matched {
  std::vector<Index> pairs;  // two names each, the first one first
  Index odd = 0;             // keys that are not in one pair of different cells
};

// The pairs of places (facets) with equal keys whose top bits lie in first .. last - 1; key 0 is none.
// cell[i] is the cell of facet i. Keys are grouped by their top bits, so that one group fits into the cache.
inline void match_part(const Bits* key, const std::int32_t* cell, Index n, int bits, Index first, Index last,
                       bool places, Matched& out) {
  const int shift = 64 - bits;
  std::vector<Index> begin(last - first + 1, 0);
  for (Index i = 0; i < n; ++i) {
    const Index group = Index(key[i] >> shift);
    if (key[i] && first <= group && group < last) ++begin[group - first + 1];
  }
  Index most = 0;
  for (Index g = 0; g < last - first; ++g) {
    most = std::max(most, begin[g + 1]);
    begin[g + 1] += begin[g];
  }
  struct Entry {
    Bits key;
    std::int32_t place;
    bool paired;
  };
  std::vector<Entry> entries(begin.back());
  std::vector<Index> at(begin.begin(), begin.end() - 1);
  for (Index i = 0; i < n; ++i) {
    const Index group = Index(key[i] >> shift);
    if (key[i] && first <= group && group < last) entries[at[group - first]++] = {key[i], std::int32_t(i), false};
  }
  std::size_t size = 16;
  while (size < 2 * std::size_t(most)) size *= 2;
  std::vector<std::int32_t> table(size, -1);
  out.pairs.reserve(entries.size());
  for (Index g = 0; g < last - first; ++g) {
    for (Index i = begin[g]; i < begin[g + 1]; ++i) {
      std::size_t h = entries[i].key & (size - 1);
      while (table[h] >= 0 && entries[table[h]].key != entries[i].key) h = (h + 1) & (size - 1);
      if (table[h] < 0) {
        table[h] = std::int32_t(i);
        ++out.odd;
        continue;
      }
      Entry& other = entries[table[h]];
      if (other.paired || cell[other.place] == cell[entries[i].place]) {
        ++out.odd;
        continue;
      }
      other.paired = true;
      --out.odd;
      out.pairs.push_back(places ? other.place : cell[other.place]);
      out.pairs.push_back(places ? entries[i].place : cell[entries[i].place]);
    }
    for (Index i = begin[g]; i < begin[g + 1]; ++i)
      for (std::size_t h = entries[i].key & (size - 1); table[h] >= 0; h = (h + 1) & (size - 1)) table[h] = -1;
  }
}

inline std::vector<Matched> match(const Bits* key, const std::int32_t* cell, Index n, bool places, int workers) {
  int bits = 1;
  while ((n >> bits) > 2048 || (1 << bits) < workers) ++bits;
  std::vector<Matched> parts(workers);
  const Index groups = Index(1) << bits;
  all_at_once(workers, [&](int w) {
    match_part(key, cell, n, bits, groups * w / workers, groups * (w + 1) / workers, places, parts[w]);
  });
  return parts;
}

}  // namespace polytope
