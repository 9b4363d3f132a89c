// A row as an affine function of the input in twice the precision of floats, with an error bound.
//
// One backward pass in pairs of floats, whose sum is a number of 106 bits. Adding c Y to X is off by at most
// 8 u^2 |c Y| + 3 u^2 |X| (u = 2^-53), so a sum of n terms by (3 n + 8) u^2 of the sum of their sizes, and what the
// network makes of it by the sum of these shares along the pass: no more than 3 for each addition to a number that
// others are computed from, and 8 for each of 3 steps in a layer. Each addition adds LOST to the sum of sizes, for what
// underflows: its share is more than can be lost.
#pragma once
#include <vector>

#include "expansion.hpp"
#include "network.hpp"

namespace polytope {

constexpr double LOST = 0x1p-900;

struct Sized {  // a number of two floats, and the sum of the sizes of its terms
  double high = 0, low = 0, size = 0;
};

inline void add_multiple(Sized& to, double c, const Sized& x) {
  Pair p = two_product(c, x.high);
  p = two_sum(p.high, p.low + c * x.low);
  const Pair s = two_sum(to.high, p.high), t = two_sum(to.low, p.low);
  const Pair u = two_sum(s.high, s.low + t.high);
  const Pair w = two_sum(u.high, u.low + t.low);
  to = {w.high, w.low, to.size + std::fabs(c) * x.size + (c != 0 ? LOST : 0)};
}

// Coefficients and constant of the row that gives each pre-activation the weight C[r]; C is used up.
inline std::vector<Sized> pull_back(const Network& net, const Index* piece, std::vector<Sized> C) {
  const Index d = net.d;
  std::vector<Sized> out(d + 1);
  for (Index layer = net.layers; layer-- > 0;) {
    const Index first = net.reader_begin[layer], last = net.reader_begin[layer + 1];
    for (Index u = net.unit_begin[layer]; u < net.unit_begin[layer + 1] && first < last; ++u) {
      if (net.kind[u] == DOMAIN_ROW) continue;
      const Index at = net.table[u] + piece[u], j = u - net.unit_begin[layer];
      const bool pieces = net.kind[u] == PIECES;
      if (pieces && net.slope[at] == 0 && net.intercept[at] == 0) continue;
      Sized x;
      for (Index e = first; e < last; ++e) {
        const Index q = net.reader_layer[e], r0 = net.pre_begin[q], n = net.pre_begin[q + 1] - r0;
        const bool dense = net.reader_dense[e] >= 0;
        const Index p0 = dense ? net.reader_dense[e] + j * n : net.column_begin[net.reader_sparse[e] + j];
        const Index p1 = dense ? p0 + n : net.column_begin[net.reader_sparse[e] + j + 1];
        for (Index p = p0; p < p1; ++p) {
          const Sized& c = C[dense ? r0 + p - p0 : net.column_row[p]];
          if (c.size != 0) add_multiple(x, dense ? net.dense[p] : net.column_value[p], c);
        }
      }
      if (x.size == 0) continue;
      if (pieces) {
        add_multiple(C[net.source[u]], net.slope[at], x);
        add_multiple(out[d], net.intercept[at], x);
      } else {
        add_multiple(C[net.members[at]], 1, x);
      }
    }
    for (Index r = net.pre_begin[layer]; r < net.pre_begin[layer + 1]; ++r)
      if (C[r].size != 0)
        for (Index t = 0; t <= d; ++t) {
          const double z = net.constant[t * net.n_pre() + r];
          if (z != 0) add_multiple(out[t], z, C[r]);
        }
  }
  return out;
}

}  // namespace polytope
