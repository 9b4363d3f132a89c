// By how much each row of a polyhedron can be exceeded, and what holds it, by the simplex method.
//
// Rows r_i y <= h_i of unit length around the unit ball, given as r_i y + c_i <= 0. Row i carries a facet if r_i y
// exceeds h_i somewhere where all other rows hold; it is let go up to 2 h_i. The answers are proposals, not proofs.
#pragma once
#include <vector>

#include "simplex.hpp"

namespace polytope {

enum ProposalState : Index { FAILED = 0, BOXED = 1, FREE_OF_BOX = 2 };

struct Proposals {                  // for k rows of m
  std::vector<Index> state;         // [k]: failed, held by a bound on coordinates, or by rows alone
  std::vector<double> value;        // [k]: by how much a row can be exceeded, at most its distance
  std::vector<double> points;       // [k][d]: where it is
  std::vector<double> multipliers;  // [k][m]: of the other rows, not negative
};

// rows: [m][d + 1]; wanted: k numbers; reach: a bound on the coordinates.
inline Proposals propose(const double* rows, Index m, Index d, const Index* wanted, Index k, double reach) {
  Proposals out{std::vector<Index>(k, FAILED), std::vector<double>(k, 0.0), std::vector<double>(k * d, 0.0),
                std::vector<double>(k * m, 0.0)};
  const Index stride = padded(m + 1);
  std::vector<double> T(d * stride), beta(stride), floor(stride), ceiling(stride), scratch(stride);
  std::vector<double> weight(stride + d), low(d + m, 0.0), high(d + m, INF), x(d);
  std::vector<Index> basic(stride), nonbasic(d), upper(d, 0);
  std::fill_n(low.begin(), d, -reach);
  std::fill_n(high.begin(), d, reach);
  for (Index t = 0; t < d; ++t) nonbasic[t] = t;
  Dictionary D{d,
               0,
               stride,
               T.data(),
               beta.data(),
               floor.data(),
               ceiling.data(),
               basic.data(),
               nonbasic.data(),
               upper.data(),
               low.data(),
               high.data(),
               scratch.data()};
  Effort effort;
  for (Index i = 0; i < m; ++i) {
    load_objective(D, rows + i * (d + 1), -1, weight.data());
    if (!extend(D, effort)) return out;
  }
  const auto T0 = T;
  const auto beta0 = beta, floor0 = floor, ceiling0 = ceiling;
  const auto basic0 = basic, nonbasic0 = nonbasic, upper0 = upper;
  for (Index n = 0; n < k; ++n) {
    const Index i = wanted[n];
    const double* row = rows + i * (d + 1);
    low[d + i] = row[d];
    for (Index j = 0; j < m; ++j)
      if (basic[j] == d + i) floor[j] = row[d];
    for (Index j = 0; j < d; ++j)
      if (nonbasic[j] == d + i) {
        high[d + i] = 0;
        upper[j] = 1;
      }
    load_objective(D, row, 1, weight.data());
    if (maximise(D, INF, effort) == Climb::OPTIMAL) {
      out.value[n] = beta[m];
      vertex(D, x.data());
      std::copy(x.begin(), x.end(), out.points.begin() + n * d);
      out.state[n] = FREE_OF_BOX;
      for (Index j = 0; j < d; ++j) {
        const double c = D.column(j)[m];
        if (nonbasic[j] >= d)
          out.multipliers[n * m + nonbasic[j] - d] = std::max(-c, 0.0);
        else if (c != 0)
          out.state[n] = BOXED;
      }
      out.multipliers[n * m + i] = 0;
    }
    low[d + i] = 0;
    high[d + i] = INF;
    std::copy(T0.begin(), T0.end(), T.begin());
    std::copy(beta0.begin(), beta0.end(), beta.begin());
    std::copy(floor0.begin(), floor0.end(), floor.begin());
    std::copy(ceiling0.begin(), ceiling0.end(), ceiling.begin());
    std::copy(basic0.begin(), basic0.end(), basic.begin());
    std::copy(nonbasic0.begin(), nonbasic0.end(), nonbasic.begin());
    std::copy(upper0.begin(), upper0.end(), upper.begin());
  }
  return out;
}

}  // namespace polytope
