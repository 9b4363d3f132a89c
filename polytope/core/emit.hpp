// Handing in a finished cell: pattern, interior point, facets with keys, and on request points and vertices.
#pragma once
#include "signs.hpp"

namespace polytope {

// The labels of the units; eight to a byte if they are all 0 or 1.
inline void write_pattern(State& s) {
  const Index n = s.net.pattern_units;
  if (!s.net.binary) {
    std::memcpy(s.sink->patterns.extend(n), s.label.data(), n);
    return;
  }
  const Index bytes = (n + 7) / 8;
  std::uint8_t* out = s.sink->patterns.extend(bytes);
  for (Index i = 0; i < bytes; ++i) {
    Bits eight;  // label j is bit 8 j, and moves to bit 56 + j; nothing else comes there
    std::memcpy(&eight, s.label.data() + 8 * i, 8);
    out[i] = std::uint8_t((eight * 0x0102040810204080u) >> 56);
  }
}

// What a unit adds to the key of a facet of the present cell, which lies between two of its pieces.
inline Bits other_side(const State& s, Index u, Index below, Index above) {
  return s.net.code_across(u, s.maps.piece[u] == above ? below : above);
}

// Unit and key of a facet.
inline void write_facet(State& s, Index facet) {
  const Facet& f = s.facets[facet];
  const Index place = Index(s.sink->facet_unit.size());
  if (f.unit < 0) {
    s.sink->facet_unit.push(std::int32_t(f.unit));
    s.sink->facet_key.push(0);
    return;
  }
  Bits key = s.hash + other_side(s, f.unit, f.below, f.above);
  for (const Touch& touch : s.touches) {
    if (touch.facet != facet) continue;
    key += other_side(s, touch.unit, touch.below, touch.above);
    s.sink->facet_more.push(place);
    s.sink->facet_more.push(s.net.place[touch.unit]);
  }
  s.sink->facet_unit.push(std::int32_t(s.net.place[f.unit]));
  s.sink->facet_key.push(key);
}

// Whether the cell lies on the positive side of a facet.
inline bool is_above(const State& s, const Facet& f) {
  if (f.unit < 0) return false;
  const Index piece = s.maps.piece[f.unit];
  return s.net.kind[f.unit] == MAXIMUM ? piece == f.below : piece > f.below;
}

// Whether it is proved that a point lies strictly on the cell's side of a facet.
inline bool is_beyond(const State& s, Index facet, const double* p) {
  const Facet& f = s.facets[facet];
  double y = f.row.g[s.net.d];
  for (Index t = 0; t < s.net.d; ++t) y += f.row.g[t] * p[t];
  return is_above(s, f) ? y > f.row.fixed : y < -f.row.fixed;
}

// Whether the vertices with bit s are a facet: no other slot holds all of them, or only an equal, later one.
inline bool is_facet(const Cell& c, Index words, Index slot) {
  const Index k = c.n, word = slot / 64;
  const Bits bit = Bits(1) << (slot % 64);
  const auto has = [&](Index i) { return (c.sets[word * k + i] & bit) != 0; };
  for (Index q = 0; q < words; ++q) {
    Bits common = ~Bits(0);
    for (Index i = 0; i < k; ++i)
      if (has(i)) common &= c.sets[q * k + i];
    if (q == word) common &= ~bit;
    for (; common; common &= common - 1) {
      const Bits other = common & -common;
      Index mine = 0, theirs = 0;
      for (Index i = 0; i < k; ++i) mine += has(i), theirs += (c.sets[q * k + i] & other) != 0;
      if (theirs > mine || slot_of(q, common) < slot) return false;
    }
  }
  return true;
}

inline void emit_edges(State& s, const Cell& c, const double* inside, bool& doubtful) {
  const Index k = c.n;
  for (Index i = 0; i < k; ++i) {
    write_facet(s, c.facets[i]);
    doubtful |= !is_beyond(s, c.facets[i], inside);
    const Index b = i + 1 < k ? i + 1 : 0;
    if (s.sink->keep & POINTS)
      for (Index t = 0; t < 2; ++t) s.sink->facet_points.push(0.5 * (c.x[t * k + i] + c.x[t * k + b]));
    if (s.sink->keep & VERTICES) {
      // the first two facets of a vertex are the edges after and before it
      Bits* sets = s.sink->incidences.extend(s.net.words);
      std::fill_n(sets, s.net.words, Bits(0));
      sets[0] = (Bits(1) << (i % 64)) | (Bits(1) << ((i + k - 1) % k % 64));
    }
  }
  s.sink->n_facets.push(std::int32_t(k));
}

inline void emit_facets(State& s, const Cell& c, const double* inside, bool& doubtful) {
  const Index d = s.net.d, k = c.n, words = s.net.words;
  Bits* sets = nullptr;
  if (s.sink->keep & VERTICES) {
    sets = s.sink->incidences.extend(k * words);
    std::fill_n(sets, k * words, Bits(0));
  }
  Index count = 0;
  for (Index q = 0; q < words; ++q) {
    Bits used = 0;
    for (Index i = 0; i < k; ++i) used |= c.sets[q * k + i];
    for (; used; used &= used - 1) {
      const Index slot = slot_of(q, used);
      if (!c.simple && !is_facet(c, words, slot)) continue;
      const Bits bit = used & -used;
      write_facet(s, c.facets[slot]);
      doubtful |= !is_beyond(s, c.facets[slot], inside);
      if (s.sink->keep & POINTS) {
        double* p = s.sink->facet_points.extend(d);
        std::fill_n(p, d, 0.0);
        Index n = 0;
        for (Index i = 0; i < k; ++i)
          if (c.sets[q * k + i] & bit) {
            ++n;
            for (Index t = 0; t < d; ++t) p[t] += c.x[t * k + i];
          }
        for (Index t = 0; t < d; ++t) p[t] /= double(n);
      }
      if (sets)
        for (Index i = 0; i < k; ++i)
          if (c.sets[q * k + i] & bit) sets[i * words + count / 64] |= Bits(1) << (count % 64);
      ++count;
    }
  }
  s.sink->n_facets.push(std::int32_t(count));
}

inline void emit(State& s, const Cell& c) {
  const Index d = s.net.d, k = c.n;
  write_pattern(s);
  double p[MOST_DIMENSIONS];
  for (Index t = 0; t < d; ++t) {
    p[t] = 0;
    for (Index i = 0; i < k; ++i) p[t] += c.x[t * k + i];
    p[t] /= double(k);
  }
  std::copy_n(p, d, s.sink->points.extend(d));
  bool doubtful = false;
  if (d == 2)
    emit_edges(s, c, p, doubtful);
  else
    emit_facets(s, c, p, doubtful);
  s.sink->doubtful.push(doubtful);
  if (s.sink->keep & VERTICES) {
    double* out = s.sink->vertices.extend(k * (d + 1));  // coordinates, then the bound on their errors
    for (Index i = 0; i < k; ++i)
      for (Index t = 0; t <= d; ++t) *out++ = c.x[t * k + i];
    s.sink->n_vertices.push(std::int32_t(k));
  }
}

}  // namespace polytope
