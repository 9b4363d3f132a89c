// Volumes of cells and of their facets from vertices and incidences, by pulling triangulations.
//
// From a vertex v of a face, the face is the union of the pyramids from v over its facets that do not hold v; down to
// points, the pyramids are simplices, and each adds |det| / d!, or the product of the lengths of its edges made
// orthogonal, over (d - 1)!, for a facet.
//
// Which simplices there are follows from the incidences alone. So the volume of a cell is off by no more than its
// determinants are: with rows m_r that are off by f_r (both in the 1-norm, after columns are divided by their greatest
// entry), a determinant is off by at most prod (|m_r| + |f_r|) - prod |m_r|. Elimination with pivots, A = L U, is exact
// for rows that are off by at most gamma_d (|L| |U|) in every entry, and |L| is at most 1 (Higham, "Accuracy and
// Stability of Numerical Algorithms", theorem 9.3).
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "basics.hpp"

namespace polytope {

constexpr double HALF_ULP = 0x1p-53;       // of a sum or product, relative to it
constexpr double GENEROUS = 1 + 0x1p-30;   // covers the rounding of bounds themselves
constexpr double NOTHING_LOST = 0x1p-900;  // sizes from which underflow is far below the rounding of sums
constexpr double UNDERFLOW = 0x1p-1000;

struct Measured {
  double volume, off;  // and a proved bound on how far that is from the volume
};

// Half the sum of cross products around the first corner; corners V [k][2] in order, off by at most E.
inline Measured polygon_area(const double* V, const double* E, Index k) {
  double total = 0, off = 0, size = 0;
  for (Index i = 1; i + 1 < k; ++i) {
    const double a0 = V[2 * i] - V[0], a1 = V[2 * i + 1] - V[1];
    const double b0 = V[2 * i + 2] - V[0], b1 = V[2 * i + 3] - V[1];
    const double ea0 = E[2 * i] + E[0] + HALF_ULP * std::fabs(a0), ea1 = E[2 * i + 1] + E[1] + HALF_ULP * std::fabs(a1);
    const double eb0 = E[2 * i + 2] + E[0] + HALF_ULP * std::fabs(b0),
                 eb1 = E[2 * i + 3] + E[1] + HALF_ULP * std::fabs(b1);
    off +=
        std::fabs(a0) * eb1 + ea0 * std::fabs(b1) + ea0 * eb1 + std::fabs(a1) * eb0 + ea1 * std::fabs(b0) + ea1 * eb0;
    size += std::fabs(a0 * b1) + std::fabs(a1 * b0);
    total += a0 * b1 - a1 * b0;
  }
  return {std::fabs(total) / 2, GENEROUS * (off + HALF_ULP * double(k + 2) * size) + UNDERFLOW};
}

using Face = std::vector<Bits>;  // a set of vertices

class Pulling {
 public:
  // sets: the vertices on each facet of a cell with k vertices V [k][d], off by at most E.
  Pulling(const double* V, const double* E, Index k, Index d, const std::vector<Face>& sets)
      : V_(V),
        E_(E),
        d_(d),
        words_((k + 63) / 64),
        sets_(sets),
        corners_(d + 1),
        table_(d * d),
        norms_(d),
        errors_(d),
        widest_(d) {}

  // The volume of the cell, the face of all its vertices.
  Measured cell(const Face& whole) {
    simplices_ = off_ = 0;
    const double found = volume(whole, d_);
    double scale = 1;
    for (Index t = 2; t <= d_; ++t) scale *= double(t);
    return {found, GENEROUS * (off_ / scale + HALF_ULP * (simplices_ + double(2 * d_ + 4)) * found) + UNDERFLOW};
  }

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

  // The sizes of the edges and of their errors, columns divided by their greatest entry.
  void measure() {
    const double* e = E_ + corners_[0] * d_;
    std::fill(norms_.begin(), norms_.end(), 0.0);
    std::fill(errors_.begin(), errors_.end(), 0.0);
    for (Index t = 0; t < d_; ++t) {
      double& widest = widest_[t] = 0;
      for (Index r = 0; r < d_; ++r) widest = std::max(widest, std::fabs(M(r, t)));
      const double unit = 1 / widest;
      for (Index r = 0; r < d_; ++r) {
        const double entry = std::fabs(M(r, t)) * unit;
        norms_[r] += entry;
        errors_[r] += HALF_ULP * entry + (E_[corners_[r + 1] * d_ + t] + e[t]) * unit;
      }
    }
  }

  // How far the determinant may be from that of the exact edges; the table holds what elimination left.
  double uncertainty() {
    double size = 1, product = 1, bound = 0, backward = 0;
    for (Index t = 0; t < d_; ++t) {
      if (!(widest_[t] > NOTHING_LOST)) return std::numeric_limits<double>::infinity();
      double sum = 0;
      for (Index c = 0; c <= t; ++c) sum += std::fabs(M(c, t));
      backward += sum / widest_[t];
      size *= widest_[t];
    }
    for (Index r = 0; r < d_; ++r) {
      const double error = errors_[r] + 2 * HALF_ULP * double(d_) * backward;
      bound = bound * (norms_[r] + error) + product * error;
      product *= norms_[r];
    }
    return bound * size;
  }

  // The absolute determinant of the edges, by elimination.
  double determinant() {
    load_edges();
    measure();
    double value = 1;
    for (Index c = 0; c < d_; ++c) {
      Index p = c;
      for (Index r = c + 1; r < d_; ++r)
        if (std::fabs(M(r, c)) > std::fabs(M(p, c))) p = r;
      value *= M(p, c);
      if (M(p, c) == 0) continue;
      if (p != c)
        for (Index t = 0; t < d_; ++t) std::swap(M(c, t), M(p, t));
      for (Index r = c + 1; r < d_; ++r) {
        const double f = M(r, c) / M(c, c);
        for (Index t = c; t < d_; ++t) M(r, t) -= f * M(c, t);
      }
    }
    simplices_ += 1;
    off_ += uncertainty();
    return std::fabs(value);
  }

  const double *V_, *E_;
  const Index d_, words_;
  Index dim_ = 0;
  double simplices_ = 0, off_ = 0;
  const std::vector<Face>& sets_;
  std::vector<Index> corners_;
  std::vector<double> table_, norms_, errors_, widest_;
};

// The vertices on each facet of a cell; incidences [k][words], bit f of a vertex: it lies on facet f.
inline std::vector<Face> vertex_sets(const Bits* incidences, Index k, Index facets, Index words) {
  std::vector<Face> sets(facets, Face((k + 63) / 64, 0));
  for (Index i = 0; i < k; ++i)
    for (Index f = 0; f < facets; ++f)
      if (incidences[i * words + f / 64] >> (f % 64) & 1) sets[f][i / 64] |= Bits(1) << (i % 64);
  return sets;
}

// The volume of every cell, and how far it may be off; vertices [V][d] are off by at most `errors`.
inline void volumes(const Index* vertex_begin, const Index* facet_begin, const double* vertices, const double* errors,
                    const Bits* incidences, Index cells, Index d, Index words, double* out, double* off) {
  for (Index c = 0; c < cells; ++c) {
    const Index v0 = vertex_begin[c], k = vertex_begin[c + 1] - v0, f0 = facet_begin[c];
    const double *V = vertices + v0 * d, *E = errors + v0 * d;
    Measured found;
    if (d == 2) {
      found = polygon_area(V, E, k);
    } else {
      const std::vector<Face> sets = vertex_sets(incidences + v0 * words, k, facet_begin[c + 1] - f0, words);
      Face whole((k + 63) / 64, 0);
      for (Index i = 0; i < k; ++i) whole[i / 64] |= Bits(1) << (i % 64);
      found = Pulling(V, E, k, d, sets).cell(whole);
    }
    out[c] = found.volume, off[c] = found.off;
  }
}

// The (d - 1)-volume of every facet that is wanted into out, up to rounding.
inline void facet_volumes(const Index* vertex_begin, const Index* facet_begin, const double* vertices,
                          const Bits* incidences, Index cells, Index d, Index words, const bool* wanted, double* out) {
  for (Index c = 0; c < cells; ++c) {
    const Index v0 = vertex_begin[c], k = vertex_begin[c + 1] - v0, f0 = facet_begin[c], n = facet_begin[c + 1] - f0;
    if (!std::count(wanted + f0, wanted + f0 + n, true)) continue;
    const std::vector<Face> sets = vertex_sets(incidences + v0 * words, k, n, words);
    Pulling pulling(vertices + v0 * d, nullptr, k, d, sets);
    for (Index f = 0; f < n; ++f)
      if (wanted[f0 + f]) out[f0 + f] = pulling.volume(sets[f], d - 1);
  }
}

}  // namespace polytope
