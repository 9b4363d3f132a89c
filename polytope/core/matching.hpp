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

// The pairs among the facets of a group, written to `pairs`, and how many; by open addressing in a table of `size` numbers, a
// power of two.
inline Index match_group(Keyed* facets, Index n, std::int32_t* table, std::size_t size, bool places, Index* pairs) {
  std::fill_n(table, size, -1);
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
  return n_pairs;
}

// The pairs of cells (or of places of facets) with equal keys; key 0 is none. Cell c has the facets begin[c] ..
// begin[c + 1] - 1. Facets are put in groups with equal top bits, which fit into the cache, every worker those of its cells
// and always in the order of the cells; then every worker matches its share of the groups.
inline Matched match(const Bits* key, const Index* begin, Index cells, bool places, int workers) {
  int bits = 1;
  while ((begin[cells] >> bits) > 1024 || (1 << bits) < workers) ++bits;
  const int shift = 64 - bits;
  const Index groups = Index(1) << bits;
  std::vector<std::vector<Index>> at(workers);  // how many facets of its cells are in a group; then where the next one goes
  const auto first_cell = [&](int w) { return cells * w / workers; };
  all_at_once(workers, [&](int w) {
    at[w].assign(groups, 0);
    for (Index i = begin[first_cell(w)]; i < begin[first_cell(w + 1)]; ++i)
      if (key[i]) ++at[w][key[i] >> shift];
  });
  std::vector<Index> start(groups + 1, 0);
  Index most = 0;
  for (Index g = 0; g < groups; ++g) {
    start[g + 1] = start[g];
    for (std::vector<Index>& of_worker : at) {
      const Index n = of_worker[g];
      of_worker[g] = start[g + 1];
      start[g + 1] += n;
    }
    most = std::max(most, start[g + 1] - start[g]);
  }
  Buffer<Keyed> facets;
  facets.reserve(start.back());
  facets.extend(start.back());
  all_at_once(workers, [&](int w) {
    for (Index c = first_cell(w); c < first_cell(w + 1); ++c)
      for (Index i = begin[c]; i < begin[c + 1]; ++i)
        if (key[i]) facets[at[w][key[i] >> shift]++] = {key[i], std::int32_t(c), std::int32_t(i)};
  });
  std::size_t size = 16;
  while (size < 2 * std::size_t(most)) size *= 2;
  Matched out;
  out.pairs.reserve(start.back());
  Index* pairs = out.pairs.extend(start.back());  // room for all; every worker begins where its facets do
  std::vector<Index> n_pairs(workers, 0);
  all_at_once(workers, [&](int w) {
    const Index first = groups * w / workers, last = groups * (w + 1) / workers;
    std::vector<std::int32_t> table(size);
    for (Index g = first; g < last; ++g)
      n_pairs[w] += match_group(facets.data() + start[g], start[g + 1] - start[g], table.data(), size, places,
                                pairs + start[first] + 2 * n_pairs[w]);
  });
  Index total = 0;
  for (int w = 0; w < workers; ++w) {
    std::copy_n(pairs + start[groups * w / workers], 2 * n_pairs[w], pairs + 2 * total);  // to the left
    total += n_pairs[w];
  }
  out.pairs.shrink(2 * total);
  out.odd = start.back() - 2 * total;
  return out;
}

}  // namespace polytope
