// A dictionary of a bounded cell, moved from vertex to vertex by the primal simplex method.
//
// Variables are the coordinates x_t (numbers 0 .. d - 1) and the slacks s_i = -(a_i x + c_i) of the cell's m rows
// (numbers d ..), each between bounds. At a vertex d of them sit at a bound (nonbasic), the other m are affine
// functions of those: T[k][i] is the derivative of basic variable i by nonbasic variable k, beta[i] its value. Row
// m is the function to be maximised, and becomes a slack when the cell is cut by it. Nothing here is proved.
#pragma once
#include <algorithm>

#include "loops.hpp"

namespace polytope {

struct Dictionary {
  Index d, m, stride;        // columns of T have room for more than m rows, in whole blocks (loops.hpp), zero behind
  double* T;                 // [d][stride]
  double* beta;              // [stride]
  double *floor, *ceiling;   // [stride], bounds of the basic variables, none for row m
  Index* basic;              // [stride]
  Index* nonbasic;           // [d]
  Index* upper;              // [d], whether the nonbasic variable sits at its upper bound
  const double *low, *high;  // [d + rows], bounds of all variables
  double* scratch;           // [stride]

  double* column(Index k) const { return T + k * stride; }
  Index room() const { return padded(m + 1); }
  void put(Index i, Index v) const {  // variable v is basic in row i
    basic[i] = v;
    floor[i] = low[v];
    ceiling[i] = high[v];
  }
  double end(Index k) const { return upper[k] ? high[nonbasic[k]] : low[nonbasic[k]]; }
};

enum class Climb { OPTIMAL, REACHED, FAILED };

struct Effort {
  Index pivots = 0;
};

// Write sign * (f[:d] . x + f[d]) into row m. The weights are scratch for padded(m + 1) + d numbers.
inline void load_objective(const Dictionary& D, const double* f, double sign, double* weight) {
  double value = sign * f[D.d];
  std::fill(weight + D.m, weight + D.room(), 0.0);
  for (Index i = 0; i < D.m; ++i) {
    const Index v = D.basic[i];
    weight[i] = v < D.d ? sign * f[v] : 0;
    value += weight[i] * D.beta[i];
  }
  double* c = weight + D.room();
  dot_products(c, D.T, D.stride, weight, D.d, D.m);
  for (Index k = 0; k < D.d; ++k) {
    const Index v = D.nonbasic[k];
    if (v < D.d) {
      c[k] += sign * f[v];
      value += sign * f[v] * D.end(k);
    }
    D.column(k)[D.m] = c[k];
  }
  D.beta[D.m] = value;
  D.floor[D.m] = -INF;
  D.ceiling[D.m] = INF;
}

// Exchange nonbasic variable k and basic variable r in all rows up to m.
inline void exchange(const Dictionary& D, Index k, Index r) {
  double* column = D.column(k);
  const double inverse = 1 / column[r];
  eliminate_columns(D.T, D.stride, D.d, k, r, inverse, D.m + 1);
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
    const double width = D.high[D.nonbasic[k]] - D.low[D.nonbasic[k]];
    auto [step, r] = first_to_end(column, D.beta, D.floor, D.ceiling, sigma, PIVOT, width, D.scratch, D.m);
    if (!(step < INF)) return Climb::FAILED;
    if (least)  // of several, the least number
      for (Index i = 0; i < D.m; ++i)
        if (r >= 0 && D.scratch[i] == step && D.basic[i] < D.basic[r]) r = i;
    ++effort.pivots;
    const double move = sigma * step;
    move_along(D.beta, column, move, D.m + 1);
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
    D.put(r, v);
    D.beta[r] = start + move;
  }
  return Climb::FAILED;
}

// Take row m into the dictionary as a slack; false if the simplex method finds no vertex.
inline bool extend(Dictionary& D, Effort& effort) {
  if (D.beta[D.m] < 0) maximise(D, 0.0, effort);
  D.put(D.m, D.d + D.m);
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
