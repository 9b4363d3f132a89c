// A dictionary of a bounded cell, moved from vertex to vertex by the primal simplex method.
//
// Variables are the coordinates x_t (numbers 0 .. d - 1) and the slacks s_i = -(a_i x + c_i) of the cell's m rows
// (numbers d ..), each between bounds. At a vertex d of them sit at a bound (nonbasic), the other m are affine
// functions of those: T[k][i] is the derivative of basic variable i by nonbasic variable k, beta[i] its value. Row
// m is the function to be maximised, and becomes a slack when the cell is cut by it. Nothing here is proved.
#pragma once
#include <algorithm>

#include "basics.hpp"

namespace polytope {

struct Dictionary {
  Index d, m, stride;  // columns of T have room for more than m rows
  double* T;           // [d][stride]
  double* beta;        // [stride]
  Index* basic;        // [stride]
  Index* nonbasic;     // [d]
  Index* upper;        // [d], whether the nonbasic variable sits at its upper bound
  const double *low, *high;  // [d + rows], bounds of all variables

  double* column(Index k) const { return T + k * stride; }
  double end(Index k) const { return upper[k] ? high[nonbasic[k]] : low[nonbasic[k]]; }
};

enum class Climb { OPTIMAL, REACHED, FAILED };

struct Effort {
  Index pivots = 0;
};

// Write sign * (f[:d] . x + f[d]) into row m.
inline void load_objective(const Dictionary& D, const double* f, double sign, double* weight) {
  double value = sign * f[D.d];
  for (Index i = 0; i < D.m; ++i) {
    const Index v = D.basic[i];
    weight[i] = v < D.d ? sign * f[v] : 0;
    value += weight[i] * D.beta[i];
  }
  for (Index k = 0; k < D.d; ++k) {
    const Index v = D.nonbasic[k];
    double* column = D.column(k);
    double c = 0;
    if (v < D.d) {
      c = sign * f[v];
      value += c * D.end(k);
    }
    for (Index i = 0; i < D.m; ++i) c += weight[i] * column[i];
    column[D.m] = c;
  }
  D.beta[D.m] = value;
}

// Exchange nonbasic variable k and basic variable r in all rows up to m.
inline void exchange(const Dictionary& D, Index k, Index r) {
  double* column = D.column(k);
  const double inverse = 1 / column[r];
  for (Index j = 0; j < D.d; ++j) {
    if (j == k) continue;
    double* __restrict other = D.column(j);
    const double* __restrict own = column;
    const double q = other[r] * inverse;
    if (q != 0)
      for (Index i = 0; i <= D.m; ++i) other[i] -= q * own[i];
    other[r] = -q;
  }
  for (Index i = 0; i <= D.m; ++i) column[i] *= inverse;
  column[r] = inverse;
}

// Raise row m until it exceeds a target or is greatest.
inline Climb maximise(const Dictionary& D, double target, Effort& effort) {
  constexpr double PIVOT = 1e-9, STEEP = 1e-11;  // smallest entries worth pivoting on, or following
  constexpr Index DANTZIG = 60;  // steps by the steepest derivative before the least number decides: no cycles
  for (Index turn = 0; turn < DANTZIG + 40 * (D.d + D.m); ++turn) {
    if (D.beta[D.m] > target) return Climb::REACHED;
    const bool least = turn >= DANTZIG;
    double best = STEEP;
    Index k = -1;
    for (Index j = 0; j < D.d; ++j) {
      const double c = D.upper[j] ? -D.column(j)[D.m] : D.column(j)[D.m];
      if (least ? c > STEEP && (k < 0 || D.nonbasic[j] < D.nonbasic[k]) : c > best) best = c, k = j;
    }
    if (k < 0) return Climb::OPTIMAL;
    const double sigma = D.upper[k] ? -1 : 1;
    double* column = D.column(k);
    double step = D.high[D.nonbasic[k]] - D.low[D.nonbasic[k]], size = 0;
    Index r = -1;
    for (Index i = 0; i < D.m; ++i) {
      const double a = sigma * column[i];
      if (std::fabs(a) <= PIVOT) continue;
      const Index v = D.basic[i];
      const double room = a < 0 ? D.beta[i] - D.low[v] : D.high[v] - D.beta[i];
      const double t = room > 0 ? room / std::fabs(a) : 0;
      if (t < step || (t == step && r >= 0 && (least ? v < D.basic[r] : std::fabs(a) > size)))
        step = t, r = i, size = std::fabs(a);
    }
    if (!(step < INF)) return Climb::FAILED;
    ++effort.pivots;
    const double move = sigma * step;
    for (Index i = 0; i <= D.m; ++i) D.beta[i] += move * column[i];
    if (r < 0) {
      D.upper[k] = 1 - D.upper[k];
      continue;
    }
    const Index v = D.nonbasic[k];
    const double start = D.end(k);
    const bool above = sigma * column[r] > 0;
    exchange(D, k, r);
    D.nonbasic[k] = D.basic[r];
    D.upper[k] = above;
    D.basic[r] = v;
    D.beta[r] = start + move;
  }
  return Climb::FAILED;
}

// Take row m into the dictionary as a slack; false if the simplex method finds no vertex.
inline bool extend(Dictionary& D, Effort& effort) {
  if (D.beta[D.m] < 0) maximise(D, 0.0, effort);
  D.basic[D.m] = D.d + D.m;
  return D.beta[D.m++] >= 0;
}

// The present vertex.
inline void vertex(const Dictionary& D, double* x) {
  for (Index k = 0; k < D.d; ++k)
    if (D.nonbasic[k] < D.d) x[D.nonbasic[k]] = D.end(k);
  for (Index i = 0; i < D.m; ++i)
    if (D.basic[i] < D.d) x[D.basic[i]] = D.beta[i];
}

}  // namespace polytope
