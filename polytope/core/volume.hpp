// Volumes of cells and of their facets from vertices and incidences, by pulling triangulations.
//
// From a vertex v of a face, the face is the union of the pyramids from v over its facets that do not hold v; down to
// points, the pyramids are simplices, and each adds |det| / d!, or the product of the lengths of its edges made
// orthogonal, over (d - 1)!, for a facet.
#pragma once
#include <algorithm>
#include <vector>

#include "basics.hpp"

namespace polytope {

// Half the sum of cross products around the first corner; corners in order.
inline double polygon_area(const double* V, Index k) {
  double total = 0;
  for (Index i = 1; i + 1 < k; ++i) {
    const double a0 = V[2 * i] - V[0], a1 = V[2 * i + 1] - V[1];
    const double b0 = V[2 * i + 2] - V[0], b1 = V[2 * i + 3] - V[1];
    total += a0 * b1 - a1 * b0;
  }
  return std::fabs(total) / 2;
}

using Face = std::vector<Bits>;  // a set of vertices

class Pulling {
 public:
  // sets: the vertices on each facet of a cell with k vertices V [k][d].
  Pulling(const double* V, Index k, Index d, const std::vector<Face>& sets)
      : V_(V), d_(d), words_((k + 63) / 64), sets_(sets), corners_(d + 1), table_(d * d) {}

  // The volume of a face of so many dimensions.
  double volume(const Face& face, Index dim) {
    dim_ = dim;
    corners_[0] = first(face);
    double scale = 1;
    for (Index t = 2; t <= dim; ++t) scale *= double(t);
    return pulled(face, 0) / scale;
  }

 private:
  Index first(const Face& face) const {
    for (Index q = 0; q < words_; ++q)
      if (face[q]) return 64 * q + std::countr_zero(face[q]);
    return 0;
  }

  // dim! times the volume of what the apexes corners_[0 .. level] and a face make.
  double pulled(const Face& face, Index level) {
    if (level == dim_) return dim_ == d_ ? determinant() : content();
    double total = 0;
    const Index apex = corners_[level];
    for (std::size_t s = 0; s < sets_.size(); ++s) {
      if (sets_[s][apex / 64] >> (apex % 64) & 1) continue;
      Face part(words_);
      bool some = false;
      for (Index q = 0; q < words_; ++q) some |= (part[q] = face[q] & sets_[s][q]) != 0;
      if (!some || !is_facet(face, part, s)) continue;
      corners_[level + 1] = first(part);
      total += pulled(part, level + 1);
    }
    return total;
  }

  // Whether slot s cuts a facet from the face: not all of it, and in no other slot's larger part.
  bool is_facet(const Face& face, const Face& mine, std::size_t s) const {
    for (std::size_t r = 0; r < sets_.size(); ++r) {
      if (r == s) continue;
      bool inside = true, equal = true, whole = true;
      for (Index q = 0; q < words_; ++q) {
        const Bits theirs = face[q] & sets_[r][q];
        inside &= (mine[q] & ~theirs) == 0;
        equal &= mine[q] == theirs;
        whole &= theirs == face[q];
      }
      if (inside && !whole && (!equal || r < s)) return false;
    }
    return true;
  }

  double& M(Index r, Index t) { return table_[r * d_ + t]; }
  void load_edges() {  // from the first corner
    for (Index r = 0; r < dim_; ++r)
      for (Index t = 0; t < d_; ++t) M(r, t) = V_[corners_[r + 1] * d_ + t] - V_[corners_[0] * d_ + t];
  }

  // The product of the lengths of the edges, each made orthogonal to the longer ones.
  double content() {
    load_edges();
    double value = 1;
    for (Index c = 0; c < dim_; ++c) {
      Index p = c;
      double longest = -1;
      for (Index r = c; r < dim_; ++r) {
        double length = 0;
        for (Index t = 0; t < d_; ++t) length = std::hypot(length, M(r, t));
        if (length > longest) longest = length, p = r;
      }
      if (longest == 0) return 0;
      value *= longest;
      for (Index t = 0; t < d_; ++t) {
        std::swap(M(c, t), M(p, t));
        M(c, t) /= longest;
      }
      for (Index r = c + 1; r < dim_; ++r) {
        double along = 0;
        for (Index t = 0; t < d_; ++t) along += M(r, t) * M(c, t);
        for (Index t = 0; t < d_; ++t) M(r, t) -= along * M(c, t);
      }
    }
    return value;
  }

  // The absolute determinant of the edges, by elimination.
  double determinant() {
    load_edges();
    double value = 1;
    for (Index c = 0; c < d_; ++c) {
      Index p = c;
      for (Index r = c + 1; r < d_; ++r)
        if (std::fabs(M(r, c)) > std::fabs(M(p, c))) p = r;
      if (M(p, c) == 0) return 0;
      if (p != c)
        for (Index t = 0; t < d_; ++t) std::swap(M(c, t), M(p, t));
      value *= M(c, c);
      for (Index r = c + 1; r < d_; ++r) {
        const double f = M(r, c) / M(c, c);
        for (Index t = c; t < d_; ++t) M(r, t) -= f * M(c, t);
      }
    }
    return std::fabs(value);
  }

  const double* V_;
  const Index d_, words_;
  Index dim_ = 0;
  const std::vector<Face>& sets_;
  std::vector<Index> corners_;
  std::vector<double> table_;
};

// The vertices on each facet of a cell; incidences [k][words], bit f of a vertex: it lies on facet f.
inline std::vector<Face> vertex_sets(const Bits* incidences, Index k, Index facets, Index words) {
  std::vector<Face> sets(facets, Face((k + 63) / 64, 0));
  for (Index i = 0; i < k; ++i)
    for (Index f = 0; f < facets; ++f)
      if (incidences[i * words + f / 64] >> (f % 64) & 1) sets[f][i / 64] |= Bits(1) << (i % 64);
  return sets;
}

// The volume of every cell into out, or where `wanted` names facets, that of each of these (0 for others).
inline void volumes(const Index* vertex_begin, const Index* facet_begin, const double* vertices, const Bits* incidences,
                    Index cells, Index d, Index words, const bool* wanted, double* out) {
  for (Index c = 0; c < cells; ++c) {
    const Index v0 = vertex_begin[c], k = vertex_begin[c + 1] - v0, f0 = facet_begin[c], n = facet_begin[c + 1] - f0;
    const double* V = vertices + v0 * d;
    if (!wanted && d == 2) {
      out[c] = polygon_area(V, k);
      continue;
    }
    if (wanted && !std::count(wanted + f0, wanted + f0 + n, true)) continue;
    const std::vector<Face> sets = vertex_sets(incidences + v0 * words, k, n, words);
    Pulling pulling(V, k, d, sets);
    if (!wanted) {
      Face whole((k + 63) / 64, 0);
      for (Index i = 0; i < k; ++i) whole[i / 64] |= Bits(1) << (i % 64);
      out[c] = pulling.volume(whole, d);
    }
    for (Index f = 0; wanted && f < n; ++f)
      if (wanted[f0 + f]) out[f0 + f] = pulling.volume(sets[f], d - 1);
  }
}

}  // namespace polytope
