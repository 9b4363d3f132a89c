// How the undecided units of a cell depend on each other, all other units being eliminated.
//
// On a cell, a unit that is fixed on a piece is affine, so the undecided rows are z_v = c_v + sum_u W_uv h_u over the
// undecided units u of earlier layers alone. A column of W is the sum over all paths through fixed units, found by a
// push through the network, with a bound on its error. Units of one layer are pushed together, WIDE at a time: each
// weight is read once for all of them.
#pragma once
#include "state.hpp"

namespace polytope {

class Reduction {
 public:
  static constexpr Index WIDE = 16;  // columns that are found together

  explicit Reduction(const State& s)
      : s_(s),
        net_(s.net),
        values_(std::size_t(net_.n_pre()) * WIDE, 0.0),
        wrong_(net_.n_pre(), 0.0),
        hit_(net_.n_pre(), 0),
        hits_(net_.layers) {}

  // The coefficient of unit u in the row of unit v, weights[u * n + v], and bounds on its error.
  // `units` are in the order of their layers, of which layer q's end at ends[q].
  void columns(const std::vector<Index>& units, const std::vector<Index>& ends, double* weights, double* errors) {
    const Index n = Index(units.size());
    for (Index q = 0; q < net_.layers; ++q) {
      for (Index i = q ? ends[q - 1] : 0; i < ends[q];) {
        const Index m = std::min(WIDE, ends[q] - i);
        for (Index j = 0; j < m; ++j) start(units[i + j], q, j);
        for (Index p = q + 1; p < net_.layers; ++p) {
          hand_on(p);
          for (Index v = ends[p - 1]; v < ends[p]; ++v) {
            const Index r = net_.source[units[v]];
            for (Index j = 0; j < m; ++j) {
              weights[(i + j) * n + v] = values_[r * WIDE + j];
              errors[(i + j) * n + v] = wrong_[r];
            }
          }
          forget(p);
        }
        i += m;
      }
    }
  }

 private:
  struct Column {  // entries of one unit's column in one reader
    Index p0, p1, first, layer;
    bool dense;
  };
  Column column(Index u, Index layer, Index e) const {
    const Index q = net_.reader_layer[e], r0 = net_.pre_begin[q], n = net_.pre_begin[q + 1] - r0;
    const Index j = u - net_.unit_begin[layer];
    if (net_.reader_dense[e] >= 0) {
      const Index p0 = net_.reader_dense[e] + j * n;
      return {p0, p0 + n, r0, q, true};
    }
    const Index at = net_.reader_sparse[e] + j;
    return {net_.column_begin[at], net_.column_begin[at + 1], r0, q, false};
  }

  // Calls visit(row, weight) for the entries that still matter, and remembers the rows.
  template <class Visit>
  void entries(const Column& c, Visit visit) {
    for (Index p = c.p0; p < c.p1; ++p) {
      const Index r = c.dense ? c.first + p - c.p0 : net_.column_row[p];
      if (s_.need[r] == 0) continue;
      if (!hit_[r]) {
        hit_[r] = 1;
        hits_[c.layer].push_back(r);
      }
      visit(r, c.dense ? net_.dense[p] : net_.column_value[p]);
    }
  }

  double rounding(Index q) const { return net_.gamma[q] > 0 ? net_.gamma[q] + 4 * U : 0; }

  // Start column j of a block: the weights with which later layers read unit u.
  void start(Index u, Index layer, Index j) {
    for (Index e = net_.reader_begin[layer]; e < net_.reader_begin[layer + 1]; ++e) {
      const Column c = column(u, layer, e);
      const double error = net_.gamma[c.layer] > 0 ? rounding(c.layer) * 1.001 + net_.lost : 0;
      entries(c, [&](Index r, double weight) {
        values_[r * WIDE + j] += weight;
        wrong_[r] += std::fabs(weight) * error;
      });
    }
  }

  // The rows of layer q that have changed go through the units that are fixed on them.
  void hand_on(Index q) {
    for (std::size_t i = 0; i < hits_[q].size(); ++i) {
      const Index r = hits_[q][i];
      for (Index j = net_.of_begin[r]; j < net_.of_begin[r + 1]; ++j) {
        const Index u = net_.of_unit[j];
        if (s_.fix[u] != 1) continue;
        const double slope = net_.slope[net_.table[u] + s_.maps.piece[u]];
        if (slope != 0) push(u, q, r, slope);
      }
    }
  }

  // Add slope times a row, as read through unit u, to all rows that read it.
  void push(Index u, Index layer, Index source, double slope) {
    const double* from = &values_[source * WIDE];
    double h[WIDE], size = 0;
    for (Index j = 0; j < WIDE; ++j) {
      size = std::max(size, std::fabs(from[j]));
      h[j] = slope * from[j];
    }
    const double steep = std::fabs(slope), own = steep == 1 ? 0 : 2 * U;
    for (Index e = net_.reader_begin[layer]; e < net_.reader_begin[layer + 1]; ++e) {
      const Column c = column(u, layer, e);
      const double error = (wrong_[source] + (rounding(c.layer) + own) * size) * steep * 1.001 + net_.lost;
      entries(c, [&](Index r, double weight) {
        double* to = &values_[r * WIDE];
        for (Index j = 0; j < WIDE; ++j) to[j] += weight * h[j];
        wrong_[r] += std::fabs(weight) * error;
      });
    }
  }

  void forget(Index q) {
    for (Index r : hits_[q]) {
      hit_[r] = 0;
      wrong_[r] = 0;
      std::fill_n(&values_[r * WIDE], WIDE, 0.0);
    }
    hits_[q].clear();
  }

  const State& s_;
  const Network& net_;
  std::vector<double> values_, wrong_;  // of WIDE columns at each row, and one bound on the errors of all of them
  std::vector<std::int8_t> hit_;
  std::vector<std::vector<Index>> hits_;
};

}  // namespace polytope
