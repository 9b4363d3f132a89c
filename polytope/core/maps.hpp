// The affine maps of the layers on the present cell, z[t][r], kept up to date by rank-one updates.
//
// z[t][r] is coefficient t of pre-activation r (t = d: the constant; t = d + 1: a bound on the error of the
// value anywhere in the domain). A decided unit adds its column, Z_q += A_q[:, u] h_u. What is overwritten goes
// to a trail first, so that leaving a branch restores the very bits.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "loops.hpp"
#include "network.hpp"

namespace polytope {

// An affine function of x: d + 1 coefficients, a bound on its error in the domain, and the size of its terms.
struct Form {
  double* c;
  double error, size;
};

class AffineMaps {
 public:
  struct Mark {
    std::size_t entries, numbers;
  };

  explicit AffineMaps(const Network& net)
      : net_(net),
        stride_((net.n_pre() + 7) / 8 * 8 + 8),
        z_(std::size_t(net.d + 2) * stride_),
        saved_(net.layers, -1),
        piece(net.n_units(), 0) {
    load_constant();
  }

  // Begin again, after the network has become another one of as many dimensions.
  void reset() {
    stride_ = (net_.n_pre() + 7) / 8 * 8 + 8;
    z_.resize(std::size_t(net_.d + 2) * stride_);
    saved_.assign(net_.layers, -1);
    piece.assign(net_.n_units(), 0);
    trail_.clear();
    numbers_.shrink(0);
    load_constant();
  }

  double* plane(Index t) { return z_.data() + t * stride_; }
  const double* plane(Index t) const { return z_.data() + t * stride_; }
  double at(Index t, Index r) const { return z_[t * stride_ + r]; }

  Mark mark() const { return {trail_.size(), numbers_.size()}; }

  // The affine function of unit u on its piece; false if it is zero, without error.
  bool unit_form(Index u, Form& h) const {
    const Index d = net_.d;
    double slope = 1, intercept = 0;
    Index r;
    if (net_.kind[u] == PIECES) {
      const Index at = net_.table[u] + piece[u];
      slope = net_.slope[at];
      intercept = net_.intercept[at];
      if (slope == 0 && intercept == 0) return false;
      r = net_.source[u];
    } else {
      r = net_.members[net_.table[u] + piece[u]];
    }
    double size = 0, given = std::fabs(at(d, r)) + at(d + 1, r);
    for (Index t = 0; t < d; ++t) {
      h.c[t] = slope * at(t, r);
      given += std::fabs(at(t, r));
      size += std::fabs(h.c[t]) * net_.reach[t];
    }
    if (slope == 0) given = 0;
    const double constant = slope * at(d, r);
    h.c[d] = constant + intercept;
    size += std::fabs(constant) + std::fabs(intercept);
    h.error = std::fabs(slope) * at(d + 1, r);
    if (given != 0 && (intercept != 0 || std::fabs(slope) != 1))
      h.error = h.error * (1 + 4 * U) + 4 * U * size + net_.lost;
    h.size = size;
    return given != 0 || intercept != 0;
  }

  // Add the columns of units of one layer, decided together, to every layer that reads them.
  void push(const Index* units, Index n, Index layer) {
    const Index first = net_.reader_begin[layer], last = net_.reader_begin[layer + 1];
    if (n == 0 || first == last) return;
    collect(units, n);
    if (forms_.empty()) return;
    for (Index e = first; e < last; ++e) {
      if (net_.reader_dense[e] >= 0) {
        save_layer(net_.reader_layer[e]);
        push_dense(e, layer);
      } else {
        push_sparse(e, layer);
      }
    }
  }

  // Copy one row to the trail before it is changed from outside.
  void save_row(Index r) { save_rows(r, 1, -1); }

  // Take everything back that was written since a mark.
  void undo(Mark mark) {
    while (trail_.size() > mark.entries) {
      const Entry entry = trail_.back();
      trail_.pop_back();
      const Index r0 = entry.row, n = entry.rows;
      numbers_.shrink(numbers_.size() - std::size_t(n) * (net_.d + 2));
      const double* from = numbers_.data() + numbers_.size();
      for (Index t = 0; t < net_.d + 2; ++t) std::copy_n(from + t * n, n, plane(t) + r0);
      if (entry.layer >= 0) saved_[entry.layer] = entry.before;
    }
    numbers_.shrink(mark.numbers);
  }

  Index depth = 0;  // splits above the present node; at depth 0 nothing is ever taken back

 private:
  struct Entry {  // rows that were copied to the trail; for a whole layer, the depth of its last copy
    Index row, rows, layer, before;
  };

  // The functions of the units, without those that are zero.
  void collect(const Index* units, Index n) {
    const std::size_t width = net_.d + 1;
    chosen_.clear();
    forms_.clear();
    coefficients_.resize(std::size_t(n) * width);
    for (Index i = 0; i < n; ++i) {
      Form h{coefficients_.data() + forms_.size() * width, 0, 0};
      if (!unit_form(units[i], h)) continue;
      chosen_.push_back(units[i]);
      forms_.push_back(h);
    }
  }

  void save_rows(Index row, Index n, Index layer) {
    const Index before = layer >= 0 ? saved_[layer] : -1;
    double* to = numbers_.extend(std::size_t(n) * (net_.d + 2));
    for (Index t = 0; t < net_.d + 2; ++t) std::copy_n(plane(t) + row, n, to + t * n);
    trail_.push_back({row, n, layer, before});
  }

  void load_constant() {
    for (Index t = 0; t < net_.d + 2; ++t) std::copy_n(net_.constant.data() + t * net_.n_pre(), net_.n_pre(), plane(t));
  }

  // Copy the rows of a layer to the trail, once for each level of the search.
  void save_layer(Index q) {
    if (depth == 0 || saved_[q] == depth) return;
    save_rows(net_.pre_begin[q], net_.pre_begin[q + 1] - net_.pre_begin[q], q);
    saved_[q] = depth;
  }

  double rounding(Index q) const { return net_.gamma[q] > 0 ? net_.gamma[q] + 4 * U : 0; }

  void push_dense(Index e, Index layer) {
    const Index q = net_.reader_layer[e], r0 = net_.pre_begin[q], n = net_.pre_begin[q + 1] - r0;
    const Index first = net_.unit_begin[layer], m = Index(forms_.size());
    const double* base = net_.dense.data() + net_.reader_dense[e];
    columns_.resize(m);
    for (Index i = 0; i < m; ++i) columns_[i] = base + (chosen_[i] - first) * n;
    planes_.resize(net_.d + 1);
    for (Index t = 0; t <= net_.d; ++t) planes_[t] = plane(t) + r0;
    add_columns(planes_.data(), net_.d + 1, columns_.data(), coefficients_.data(), m, n);
    push_errors(e, layer);
  }

  // The errors of the units: the sum of |A_rj| e_j; for many units |A_r| |e| in the Euclidean norm.
  void push_errors(Index e, Index layer) {
    const Index q = net_.reader_layer[e], r0 = net_.pre_begin[q], n = net_.pre_begin[q + 1] - r0;
    const Index first = net_.unit_begin[layer], m = Index(forms_.size());
    const double g = rounding(q);
    double* error = plane(net_.d + 1) + r0;
    if (!net_.weights_have_errors && n > 64 && 4 * m > net_.width(layer)) {
      double total = 0;
      for (const Form& h : forms_) total += (h.error + g * h.size) * (h.error + g * h.size);
      add_column(error, net_.norm.data() + net_.reader_norm[e], std::sqrt(total) * 1.002 + net_.lost + LOST_ROOT, n);
      return;
    }
    for (Index i = 0; i < m; ++i) {
      const Index at = net_.reader_dense[e] + (chosen_[i] - first) * n;
      add_absolute(error, net_.dense.data() + at, (forms_[i].error + g * forms_[i].size) * 1.001 + net_.lost, n);
      if (net_.weights_have_errors)
        add_column(error, net_.dense_error.data() + at, (forms_[i].error + forms_[i].size) * 1.001 + net_.lost, n);
    }
  }

  void push_sparse(Index e, Index layer) {
    const Index q = net_.reader_layer[e], d = net_.d;
    const Index base = net_.reader_sparse[e] - net_.unit_begin[layer];
    const double g = rounding(q), slack = net_.gamma[q] > 0 ? 1.001 : 1.0;
    const double lost = net_.gamma[q] > 0 ? net_.lost : 0;
    bool log = depth > 0 && saved_[q] != depth;
    if (log) {  // many rows are copied faster as a whole layer
      Index rows = 0;
      for (Index u : chosen_) rows += net_.column_begin[base + u + 1] - net_.column_begin[base + u];
      if (2 * rows > net_.pre_begin[q + 1] - net_.pre_begin[q]) {
        save_layer(q);
        log = false;
      }
    }
    for (std::size_t i = 0; i < forms_.size(); ++i) {
      const Index p0 = net_.column_begin[base + chosen_[i]], p1 = net_.column_begin[base + chosen_[i] + 1];
      if (log)
        for (Index p = p0; p < p1; ++p) save_rows(net_.column_row[p], 1, -1);
      for (Index t = 0; t <= d; ++t) {
        double* z = plane(t);
        const double x = forms_[i].c[t];
        for (Index p = p0; p < p1; ++p) z[net_.column_row[p]] += net_.column_value[p] * x;
      }
      double* error = plane(d + 1);
      const double x = (forms_[i].error + g * forms_[i].size) * slack + lost;
      for (Index p = p0; p < p1; ++p) error[net_.column_row[p]] += std::fabs(net_.column_value[p]) * x;
    }
  }

  const Network& net_;
  Index stride_;
  std::vector<double> z_;
  std::vector<Index> saved_;
  std::vector<Entry> trail_;
  Buffer<double> numbers_;
  std::vector<Index> chosen_;
  std::vector<Form> forms_;
  std::vector<double> coefficients_;
  std::vector<const double*> columns_;
  std::vector<double*> planes_;

 public:
  std::vector<Index> piece;  // of every unit, where decided
};

// The first pre-activation that r equals on the present cell; -1 if it is identically zero.
inline Index root_of(const Network& net, const AffineMaps& maps, Index r) {
  if (r < 0) return r;
  r = net.same[r];
  while (net.alias[r] >= 0) {
    const Index u = net.alias[r], at = net.table[u] + maps.piece[u];
    if (net.kind[u] != PIECES) {
      r = net.same[net.members[at]];
      continue;
    }
    if (net.intercept[at] != 0) return r;
    if (net.slope[at] == 0) return -1;
    if (net.slope[at] != 1) return r;
    r = net.same[net.source[u]];
  }
  return r;
}

}  // namespace polytope
