// Cutting cells that are given by vertices with sets of facets, in one, three and more dimensions.
//
// Two vertices span an edge exactly if no third one lies on all the facets that they share.
#pragma once
#include <utility>

#include "cell.hpp"

namespace polytope {

constexpr double LOST_BY_CUT = 0x1p-900;  // more than a cut can lose by underflow
constexpr Index MOST_ROWS = 24;           // of facets through a vertex that are looked at to bound its error
constexpr double POOR = 0x1p22 * U;       // vertices whose bound exceeds this share of the domain are solved anew

struct Edge {
  std::int32_t below, above;
};

// Whether b has all elements of a but one at most.
inline bool all_but_one(Bits a, Bits b) {
  const Bits missing = a & ~b;
  return (missing & (missing - 1)) == 0;
}

// Whether vertices a and b of a cell span an edge.
inline bool is_edge(const Cell& c, Index words, Index d, Index a, Index b) {
  const Index k = c.n;
  int common = 0;
  for (Index q = 0; q < words; ++q) common += std::popcount(c.sets[q * k + a] & c.sets[q * k + b]);
  if (common < d - 1) return false;
  if (c.simple) return true;
  for (Index i = 0; i < k; ++i) {
    if (i == a || i == b) continue;
    bool holds = true;
    for (Index q = 0; q < words && holds; ++q) {
      const Bits both = c.sets[q * k + a] & c.sets[q * k + b];
      holds = (both & c.sets[q * k + i]) == both;
    }
    if (holds) return false;
  }
  return true;
}

// The edges that lead from negative to positive values.
inline void crossing_edges(const Cell& c, Index words, Index d, const double* v, std::vector<Index>& scratch,
                           std::vector<Edge>& out) {
  out.clear();
  scratch.clear();
  for (Index i = 0; i < c.n; ++i)
    if (v[i] < 0) scratch.push_back(i);
  for (Index a = 0; a < c.n; ++a) {
    if (!(v[a] > 0)) continue;
    if (words == 1 && c.simple) {
      const Bits mine = c.sets[a];
      for (Index b : scratch)
        if (all_but_one(mine, c.sets[b])) out.push_back({std::int32_t(b), std::int32_t(a)});
    } else {
      for (Index b : scratch)
        if (is_edge(c, words, d, a, b)) out.push_back({std::int32_t(b), std::int32_t(a)});
    }
  }
}

// The zero of v on an edge into column i of planes of n vertices; its error bound last.
template <int D = 0>
void edge_point(const Cell& c, Index d, Edge e, double va, double vb, double ta, double tb, double farthest, double* x,
                Index n, Index i) {
  const Index k = c.n, dim = D ? D : d;
  const double q = va / (va - vb), error = std::max(c.x[dim * k + e.below], c.x[dim * k + e.above]);
  double length = 0;
  for (Index t = 0; t < dim; ++t) {
    const double from = c.x[t * k + e.below], step = c.x[t * k + e.above] - from;
    length = std::max(length, std::fabs(step));
    x[t * n + i] = from + q * step;
  }
  const double tolerance = std::max(ta, tb) + 2 * U * (std::fabs(va) + std::fabs(vb));
  const double gap = std::fabs(va) + std::fabs(vb) - ta - tb;
  double bound = 2 * farthest;
  if (gap > 0)
    bound = std::min(bound, error + 1.001 * tolerance / gap * (length + 2 * error) + 4 * U * farthest + LOST_BY_CUT);
  x[dim * n + i] = bound;
}

// A bound on the error of a vertex p from the residuals on the rows of m >= d facets through it:
// |error| <= |inverse| |residuals|, over d rows that complete pivoting chooses.
template <int D>
double vertex_error(const Network& net, const Row* const* rows, Index m, const double* p) {
  const Index d = D ? D : net.d, width = 2 * d + 1;
  const double cap = 2 * net.farthest();
  double wide = 0, steep = 0;  // slopes of a row can be off by its error times the sum of 1 / reach
  for (Index t = 0; t < d; ++t) wide += 1 / net.reach[t];
  double table[MOST_ROWS * (2 * MOST_DIMENSIONS + 1)], residual[MOST_ROWS];
  Index swapped[MOST_DIMENSIONS];
  std::fill_n(table, m * width, 0.0);
  const auto S = [&](Index i, Index t) -> double& { return table[i * width + t]; };
  for (Index i = 0; i < m; ++i) {
    const Row& row = *rows[i];
    double size = 0, value = row.g[d], terms = std::fabs(row.g[d]);
    for (Index t = 0; t < d; ++t) size = std::max(size, std::fabs(row.g[t]));
    if (size == 0) size = 1;
    for (Index t = 0; t < d; ++t) {
      value += row.g[t] * p[t];
      terms += std::fabs(row.g[t]) * net.reach[t];
      S(i, t) = row.g[t] / size;
    }
    S(i, d) = value / size;
    residual[i] = (std::fabs(value) * 1.0001 + row.error + (2 * d + 4) * U * terms) / size;
    if (!(residual[i] < INF)) return cap;
    steep = std::max(steep, row.error / size * wide);
  }
  for (Index c = 0; c < d; ++c) {
    double best = 0;
    Index row = -1, column = -1;
    for (Index i = c; i < m; ++i)
      for (Index t = c; t < d; ++t)
        if (std::fabs(S(i, t)) > best) best = std::fabs(S(i, t)), row = i, column = t;
    if (!(best >= 1e-9)) return cap;  // too nearly singular to say anything
    for (Index t = 0; t < width; ++t) std::swap(S(row, t), S(c, t));
    std::swap(residual[row], residual[c]);
    swapped[c] = column;
    for (Index i = 0; i < m; ++i) std::swap(S(i, column), S(i, c));
    S(c, d + 1 + c) = 1;
    const double inverse = 1 / S(c, c);
    for (Index t = 0; t < width; ++t) S(c, t) *= inverse;
    for (Index i = 0; i < m; ++i) {
      const double f = S(i, c);
      if (i == c || f == 0) continue;
      for (Index t = 0; t < width; ++t) S(i, t) -= f * S(c, t);
    }
  }
  for (Index c = d; c-- > 0;)
    if (swapped[c] != c)
      for (Index t = 0; t < width; ++t) std::swap(S(c, t), S(swapped[c], t));
  double error = 0, largest = 0;
  for (Index t = 0; t < d; ++t) {
    double sum = 0, total = 0;
    for (Index i = 0; i < d; ++i) {
      const double c = std::fabs(S(t, d + 1 + i));
      sum += c * residual[i];
      total += c;
    }
    largest = std::max(largest, total);
    error = std::max(error, sum);
  }
  if (!(largest <= 1e9) || !(largest * steep < 0.001)) return cap;
  return error * 1.01 < cap ? error * 1.01 : cap;
}

// Make the error bound of a vertex better if it is poor, by solving for it anew.
template <int D>
void improve_vertex(const Network& net, const std::vector<Facet>& facets, const Cell& c, Index vertex) {
  const Index d = D ? D : net.d, k = c.n;
  double& error = c.x[d * k + vertex];
  if (!(error > POOR * net.farthest())) return;
  const Row* through[MOST_ROWS];
  Index m = 0;
  for (Index q = 0; q < net.words; ++q)
    for (Bits bits = c.sets[q * k + vertex]; bits && m < MOST_ROWS; bits &= bits - 1)
      through[m++] = &facets[c.facets[slot_of(q, bits)]].row;
  double p[MOST_DIMENSIONS];
  for (Index t = 0; t < d; ++t) p[t] = c.x[t * k + vertex];
  error = std::min(error, vertex_error<D>(net, through, m, p));
}

inline bool is_simple(const Cell& c, Index words, Index d) {
  for (Index i = 0; i < c.n; ++i) {
    int facets = 0;
    for (Index q = 0; q < words; ++q) facets += std::popcount(c.sets[q * c.n + i]);
    if (facets != d) return false;
  }
  return true;
}

// A slot that no vertex of the cell uses, or -1.
inline Index free_slot(const Cell& c, Index words) {
  for (Index q = 0; q < words; ++q) {
    Bits used = 0;
    for (Index i = 0; i < c.n; ++i) used |= c.sets[q * c.n + i];
    if (used != ~Bits(0)) return slot_of(q, ~used);
  }
  return -1;
}

// Both sides of a cell along the zero set of v, whose bounds are `bound`; first v <= 0. False if no slot is free.
template <int D>
bool cut_in(const Network& net, const std::vector<Facet>& facets, Arena& arena, const Cell& c, const double* v,
            const double* bound, const std::vector<Edge>& edges, Index cutting, Cell child[2]) {
  const Index d = D ? D : net.d, words = D ? 1 : net.words, k = c.n, m = Index(edges.size());
  const Index slot = free_slot(c, words);
  if (slot < 0) return false;
  const Index word = slot / 64;
  const Bits bit = Bits(1) << (slot % 64);
  const double farthest = net.farthest();
  Index* names = arena.take<Index>(64 * words);  // of both sides
  std::copy_n(c.facets, 64 * words, names);
  names[slot] = cutting;
  std::int32_t* from[2] = {arena.take<std::int32_t>(k + 1), arena.take<std::int32_t>(k + 1)};
  Index first[2] = {0, 0};
  for (Index a = 0; a < k; ++a) {  // without branches: on which side a vertex is is as good as random
    from[0][first[0]] = from[1][first[1]] = std::int32_t(a);
    first[0] += v[a] <= 0;
    first[1] += v[a] >= 0;
  }
  const Index zero = first[0] + first[1] - k, sizes[2] = {first[0] + m, first[1] + m};
  for (int side = 0; side < 2; ++side) {
    const Index n = sizes[side];
    Cell& o = child[side];
    o = {n, arena.take<double>((d + 1) * n), arena.take<Bits>(words * n), names, c.simple && zero == 0};
    for (Index t = 0; t <= d; ++t)
      for (Index i = 0; i < first[side]; ++i) o.x[t * n + i] = c.x[t * k + from[side][i]];
    for (Index q = 0; q < words; ++q)
      for (Index i = 0; i < first[side]; ++i) o.sets[q * n + i] = c.sets[q * k + from[side][i]];
    for (Index i = 0; zero && i < first[side]; ++i)
      if (v[from[side][i]] == 0) o.sets[word * n + i] |= bit;
  }
  Cell& o = child[0];
  for (Index e = 0, i = first[0]; e < m; ++e, ++i) {
    const auto [a, b] = edges[e];
    for (Index q = 0; q < words; ++q) o.sets[q * o.n + i] = c.sets[q * k + a] & c.sets[q * k + b];
    o.sets[word * o.n + i] |= bit;
    edge_point<D>(c, d, edges[e], v[a], v[b], bound[a], bound[b], farthest, o.x, o.n, i);
    improve_vertex<D>(net, facets, o, i);
  }
  for (Index t = 0; t <= d; ++t) std::copy_n(o.x + t * o.n + first[0], m, child[1].x + t * sizes[1] + first[1]);
  for (Index q = 0; q < words; ++q)
    std::copy_n(o.sets + q * o.n + first[0], m, child[1].sets + q * sizes[1] + first[1]);
  for (int side = 0; side < 2; ++side)
    if (!child[side].simple) child[side].simple = is_simple(child[side], words, d);
  return true;
}

inline bool cut_vertices(const Network& net, const std::vector<Facet>& facets, Arena& arena, const Cell& c,
                         const double* v, const double* bound, const std::vector<Edge>& edges, Index cutting,
                         Cell child[2]) {
  if (net.words == 1) switch (net.d) {
      case 3:
        return cut_in<3>(net, facets, arena, c, v, bound, edges, cutting, child);
      case 4:
        return cut_in<4>(net, facets, arena, c, v, bound, edges, cutting, child);
      case 5:
        return cut_in<5>(net, facets, arena, c, v, bound, edges, cutting, child);
      case 6:
        return cut_in<6>(net, facets, arena, c, v, bound, edges, cutting, child);
    }
  return cut_in<0>(net, facets, arena, c, v, bound, edges, cutting, child);
}

}  // namespace polytope
