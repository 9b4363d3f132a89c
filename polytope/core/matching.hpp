// Which two cells share a facet, by the keys that both sides gave it.
#pragma once
#include <algorithm>
#include <vector>

#include "basics.hpp"
#include "buffer.hpp"
#include "threads.hpp"

namespace polytope {

struct Matched {
  Buffer<Index> pairs;  // two names each, the first one first
  Index odd = 0;        // keys that are not in one pair of different cells
};

// A facet as two numbers: its key; its cell, and in the upper half its place, or PAIRED. So the pairs of a group, two
// numbers each as well, can lie where its facets did: what takes time is memory that is touched for the first time.
constexpr Index PAIRED = -1;
inline Index cell_of(Index names) { return names & 0xffffffff; }
inline Index place_of(Index names) { return names >> 32; }

// The pairs among the n facets of a group, written to `pairs`, and how many; by open addressing in a table of `size`
// numbers, a power of two.
inline Index match_group(Index* facets, Index n, std::int32_t* table, std::size_t size, bool places, Index* pairs) {
  std::fill_n(table, size, -1);
  Index n_pairs = 0;
  for (Index i = 0; i < n; ++i) {
    const Index key = facets[2 * i], one = facets[2 * i + 1];
    std::size_t h = Bits(key) & (size - 1);
    while (table[h] >= 0 && facets[2 * table[h]] != key) h = (h + 1) & (size - 1);
    if (table[h] < 0) {
      table[h] = std::int32_t(i);
      continue;
    }
    Index& other = facets[2 * table[h] + 1];
    if (other == PAIRED || cell_of(other) == cell_of(one)) continue;
    pairs[2 * n_pairs] = places ? place_of(other) : cell_of(other);
    pairs[2 * n_pairs + 1] = places ? place_of(one) : cell_of(one);
    ++n_pairs;
    other = PAIRED;
  }
  return n_pairs;
}

// Facets in groups with equal top bits of their keys, which fit into the cache.
struct Groups {
  Index number;
  int shift;                 // of a key, to its group
  std::vector<Index> begin;  // [number + 1], of each group's facets
  Buffer<Index> facets;      // two numbers each

  Index most() const {
    Index n = 0;
    for (Index g = 0; g < number; ++g) n = std::max(n, begin[g + 1] - begin[g]);
    return n;
  }
};

// Every worker puts the facets of its cells into their groups, always in the order of the cells; key 0 is none.
inline Groups grouped(const Bits* key, const Index* begin, Index cells, int workers) {
  int bits = 1;
  while ((begin[cells] >> bits) > 8192 || (1 << bits) < workers) ++bits;
  Groups out{Index(1) << bits, 64 - bits, {}, {}};
  std::vector<std::vector<Index>> at(workers);  // how many of its facets are in a group; then where the next one goes
  const auto first_cell = [&](int w) { return cells * w / workers; };
  all_at_once(workers, [&](int w) {
    at[w].assign(out.number, 0);
    for (Index i = begin[first_cell(w)]; i < begin[first_cell(w + 1)]; ++i)
      if (key[i]) ++at[w][key[i] >> out.shift];
  });
  out.begin.assign(out.number + 1, 0);
  for (Index g = 0; g < out.number; ++g) {
    out.begin[g + 1] = out.begin[g];
    for (std::vector<Index>& of_worker : at) {
      const Index n = of_worker[g];
      of_worker[g] = out.begin[g + 1];
      out.begin[g + 1] += n;
    }
  }
  out.facets.reserve(2 * out.begin.back());
  Index* facets = out.facets.extend(2 * out.begin.back());
  all_at_once(workers, [&](int w) {
    for (Index c = first_cell(w); c < first_cell(w + 1); ++c)
      for (Index i = begin[c]; i < begin[c + 1]; ++i)
        if (key[i]) {
          Index* place = facets + 2 * at[w][key[i] >> out.shift]++;
          place[0] = Index(key[i]);
          place[1] = (i << 32) | c;
        }
  });
  return out;
}

// The pairs of cells (or of places of facets) with equal keys; key 0 is none. Cell c has the facets begin[c] ..
// begin[c + 1] - 1. Every worker matches its share of the groups, and writes what it finds over their facets.
inline Matched match(const Bits* key, const Index* begin, Index cells, bool places, int workers) {
  Groups groups = grouped(key, begin, cells, workers);
  const Index most = groups.most(), total = groups.begin.back();
  std::size_t size = 16;
  while (size < 2 * std::size_t(most)) size *= 2;
  Index* facets = groups.facets.data();
  const auto first = [&](int w) { return groups.number * w / workers; };
  std::vector<Index> n_pairs(workers, 0);
  all_at_once(workers, [&](int w) {
    std::vector<std::int32_t> table(size);
    std::vector<Index> pairs(most);
    Index* out = facets + 2 * groups.begin[first(w)];
    for (Index g = first(w); g < first(w + 1); ++g) {
      const Index b = groups.begin[g], n = groups.begin[g + 1] - b;
      const Index found = match_group(facets + 2 * b, n, table.data(), size, places, pairs.data());
      std::copy_n(pairs.data(), 2 * found, out + 2 * n_pairs[w]);
      n_pairs[w] += found;
    }
  });
  Matched out;
  Index found = n_pairs[0];
  for (int w = 1; w < workers; ++w) {
    std::copy_n(facets + 2 * groups.begin[first(w)], 2 * n_pairs[w], facets + 2 * found);  // to the left
    found += n_pairs[w];
  }
  groups.facets.shrink(2 * found);
  out.pairs = std::move(groups.facets);
  out.odd = total - 2 * found;
  return out;
}

}  // namespace polytope
