// Which cells can hold what a search is for, so that the others need not be searched.
//
// A case is a set of pre-activations of the last layer; it is met where none of them is positive. On a cell, units that
// are not decided lie between two affine functions of their pre-activation. With them the pre-activations of each later
// layer are bounded by affine functions of the input, whose least values on the cell stand at its vertices. A cell on
// which some pre-activation of every case is positive throughout holds nothing sought.
//
// What rounding can do is bounded by magnitudes: a computed weight v of a row r is off by a share of sums in which the
// row's terms stand with |v|, and their sizes in the domain are known beforehand.
//
// Zhang, Weng, Chen, Hsieh, Daniel (2018), "Efficient Neural Network Robustness Certification with General Activation
// Functions", https://arxiv.org/abs/1811.00866 (the bounds, there over balls).
#pragma once
#include <functional>
#include <span>

#include "enclosed.hpp"
#include "loops.hpp"
#include "state.hpp"

namespace polytope {

// Cases: those of number c are the rows row[begin[c]] .. row[begin[c + 1] - 1] of the last layer.
struct Cases {
  std::span<const Index> begin, row;
  bool none() const { return begin.size() < 2; }
};

class Sought {
 public:
  Sought(const State& s, const Cases& cases)
      : s_(s),
        net_(s.net),
        d_(net_.d),
        cases_(cases),
        stages_(net_.layers),
        size_(net_.n_pre(), 0.0),
        wrong_(net_.n_pre(), 0.0),
        place_(net_.n_pre(), -1),
        scratch_(net_.n_pre(), 0.0) {
    measure();
    for (Index q = 1; q < net_.layers; ++q)
      for (Index k = 1; k < q; ++k)
        for (Index e = net_.reader_begin[k]; e < net_.reader_begin[k + 1]; ++e)
          if (net_.reader_layer[e] == q) stages_[q].reads.push_back({k, e});
  }

  // Whether the cell can meet a case; all units in front of a layer are decided, of the layer all but those listed.
  //
  // Ends of rows, [2][rows], are those that hold on a larger cell, or none; they become those of this cell, in `ends`.
  bool any(const Cell& cell, Index layer, const Item* items, Index n, const double* given, double* ends) {
    low_ = ends;
    high_ = ends + net_.n_pre();
    if (given)
      std::copy_n(given, 2 * net_.n_pre(), ends);
    else
      for (Index r = 0; r < net_.n_pre(); ++r) low_[r] = -INF, high_[r] = INF;
    const Index last = net_.layers - 1;
    for (Index q = layer; q <= last; ++q) {
      Stage& stage = stages_[q];
      units_.clear();
      if (q == layer)
        for (Index i = 0; i < n; ++i) units_.push_back(items[i].unit);
      else
        for (Index u = net_.unit_begin[q]; u < net_.unit_begin[q + 1]; ++u) units_.push_back(u);
      columns_of(stage, layer);
      ask(stage, q, layer);
      if (!bound(cell, q, layer)) return true;
      if (q < last && !enclose(stage)) return true;
    }
    return possible();
  }

  // Of the units that were listed, the one whose enclosure costs the bound of the likeliest case most; -1 without any.
  Index most_influential(Index layer) const {
    const Stage &stage = stages_[layer], &last = stages_.back();
    const Index units = stage.size();
    if (!stage.used || &stage == &last) return -1;
    double most = -INF, best = 0;
    Index row = -1, unit = -1;
    for (std::size_t i = 0; i < last.asked.rows.size(); ++i)
      if (low_[last.asked.rows[i]] > most) {
        most = low_[last.asked.rows[i]];
        row = Index(i);
      }
    for (Index j = 0; row >= 0 && j < units; ++j) {
      const double c = stage.sum[row * units + j];
      const double influence = c > 0 ? c * stage.over[j] : -c * stage.under[j];
      if (influence > best) {
        best = influence;
        unit = stage.units[j];
      }
    }
    return unit;
  }

 private:
  struct Part {  // columns of the units of layer k that a layer reads
    Index k, begin, reader;
  };
  struct Rows {  // [rows][width], weights of the units in front, by part, then the affine function; errors of values
    std::vector<Index> rows;
    std::vector<double> weights, error;
    Index size() const { return Index(rows.size()); }
  };
  struct Stage {
    std::vector<std::pair<Index, Index>> reads;  // layers in front, and the readers by which they are read
    std::vector<Part> parts;
    Index width, form;  // all columns; where the affine function begins
    Rows asked, read;   // rows that are to be bounded; of each enclosed unit the row that it reads
    std::vector<Index> units;
    // lines around the units, from below and above, and the most that units are above the one and below the other
    std::vector<double> slope[2], constant[2], over, under;
    std::vector<double> sum;  // [combinations][units], of what is bounded
    bool used = false;
    Index size() const { return Index(units.size()); }
  };

  // Bounds on the sizes of all rows in the domain, term by term.
  void measure() {
    for (Index r = 0; r < net_.n_pre(); ++r) {
      for (Index t = 0; t < d_; ++t) size_[r] += std::fabs(net_.constant[t * net_.n_pre() + r]) * net_.reach[t];
      for (Index t = d_; t < d_ + 2; ++t) size_[r] += std::fabs(net_.constant[t * net_.n_pre() + r]);
    }
    for (Index k = 1; k < net_.layers; ++k)
      for (Index u = net_.unit_begin[k]; u < net_.unit_begin[k + 1]; ++u) {
        const Index at = net_.table[u];
        double most = 0;
        for (Index p = 0; p < net_.n_pieces[u]; ++p)
          most = std::max(most, net_.kind[u] == PIECES ? std::fabs(net_.slope[at + p]) * size_[net_.source[u]] +
                                                             std::fabs(net_.intercept[at + p])
                                                       : size_[net_.members[at + p]]);
        most *= 1.0001;
        for (Index e = net_.reader_begin[k]; e < net_.reader_begin[k + 1]; ++e)
          each_weight(e, u, k, [&](Index r, double a, double wrong) {
            size_[r] += std::fabs(a) * most;
            wrong_[r] += wrong * most;
          });
      }
    for (double& size : size_) size *= 1.0001;
  }

  template <class Visit>
  void each_weight(Index e, Index u, Index layer, Visit visit) const {
    const Index q = net_.reader_layer[e], r0 = net_.pre_begin[q], n = net_.pre_begin[q + 1] - r0;
    const Index j = u - net_.unit_begin[layer];
    if (net_.reader_dense[e] >= 0) {
      const Index at = net_.reader_dense[e] + j * n;
      for (Index i = 0; i < n; ++i)
        visit(r0 + i, net_.dense[at + i], net_.weights_have_errors ? net_.dense_error[at + i] : 0);
      return;
    }
    const Index p0 = net_.column_begin[net_.reader_sparse[e] + j], p1 = net_.column_begin[net_.reader_sparse[e] + j + 1];
    for (Index p = p0; p < p1; ++p) visit(net_.column_row[p], net_.column_value[p], 0);
  }

  // Where the enclosed units in front stand among the columns of a layer's weights.
  void columns_of(Stage& stage, Index layer) {
    stage.parts.clear();
    stage.form = 0;
    for (const auto& [k, e] : stage.reads) {
      if (k < layer) continue;
      stage.parts.push_back({k, stage.form, e});
      stage.form += stages_[k].size();
    }
    stage.width = stage.form + d_ + 1;
  }

  // The rows whose bounds are wanted: of units that can be on several pieces; in the last layer those of the cases.
  void ask(Stage& stage, Index q, Index layer) {
    std::vector<Index>& rows = stage.asked.rows;
    rows.clear();
    const auto add = [&](Index r) {
      if (place_[r] < 0) rows.push_back(r);
      place_[r] = 0;
    };
    if (q + 1 == net_.layers)
      for (Index i : cases_.row) add(net_.pre_begin[q] + i);
    else
      for (Index u : units_) {
        const Index at = net_.table[u];
        if (net_.kind[u] != PIECES)
          for (Index p = 0; p < net_.n_pieces[u]; ++p) add(net_.members[at + p]);
        else if (q == layer || !on_one_piece(u))
          add(net_.source[u]);
      }
    for (Index r : rows) place_[r] = -1;
    weigh(stage, stage.asked);
  }

  bool on_one_piece(Index u) const {
    const Index r = net_.source[u], n = net_.n_pieces[u];
    const double* breakpoint = net_.breakpoint.data() + net_.table[u];
    Index s = 0;
    while (s < n - 1 && low_[r] > breakpoint[s]) ++s;
    return s == n - 1 || high_[r] < breakpoint[s];
  }

  // The weights of rows of a layer, and what their values can be off by.
  void weigh(const Stage& stage, Rows& out) {
    const Index m = out.size(), width = stage.width;
    out.weights.assign(m * width, 0.0);
    out.error.resize(m);
    for (const Part& part : stage.parts) gather(stages_[part.k], part, out, width);
    const double share = 8 * U * double(8 + m + width + net_.layers);
    for (Index i = 0; i < m; ++i) {
      const Index r = out.rows[i];
      double* form = out.weights.data() + i * width + stage.form;
      double size = std::fabs(s_.maps.at(d_, r));
      for (Index t = 0; t <= d_; ++t) form[t] = s_.maps.at(t, r);
      for (Index t = 0; t < d_; ++t) size += std::fabs(form[t]) * net_.reach[t];
      out.error[i] = 1.001 * (s_.maps.at(d_ + 1, r) + wrong_[r] + share * (size_[r] + size)) + net_.lost;
    }
  }

  void gather(const Stage& front, const Part& part, Rows& out, Index width) {
    const Index q = net_.reader_layer[part.reader], r0 = net_.pre_begin[q], rows = net_.pre_begin[q + 1] - r0;
    for (Index j = 0; j < front.size(); ++j) {
      const Index column = front.units[j] - net_.unit_begin[part.k];
      double* to = out.weights.data() + part.begin + j;
      if (net_.reader_dense[part.reader] >= 0) {
        const double* from = net_.dense.data() + net_.reader_dense[part.reader] + column * rows - r0;
        for (Index i = 0; i < out.size(); ++i) to[i * width] = from[out.rows[i]];
        continue;
      }
      each_weight(part.reader, front.units[j], part.k, [&](Index r, double a, double) { scratch_[r] = a; });
      for (Index i = 0; i < out.size(); ++i) to[i * width] = scratch_[out.rows[i]];
      each_weight(part.reader, front.units[j], part.k, [&](Index r, double, double) { scratch_[r] = 0; });
    }
  }

  // Ends of the asked rows on the cell, of the last layer only the least; false if unknown.
  bool bound(const Cell& cell, Index q, Index layer) {
    Stage& stage = stages_[q];
    const bool last = q + 1 == net_.layers;
    const Index n = stage.asked.size(), m = last ? n : 2 * n;
    for (Index k = layer; k <= q; ++k) stages_[k].used = false;
    out_.resize(m * stage.width);
    form_.assign(m * (d_ + 1), 0.0);
    room_.resize(m);
    const std::vector<double>& weights = stage.asked.weights;
    std::copy(weights.begin(), weights.end(), out_.begin());
    if (!last) std::transform(weights.begin(), weights.end(), out_.begin() + n * stage.width, std::negate<>());
    for (Index i = 0; i < m; ++i) room_[i] = stage.asked.error[i % n];
    distribute(stage, m);
    for (Index k = q - 1; k >= layer; --k)
      if (stages_[k].used) replace(stages_[k], m);
    double error = 0;
    for (Index v = 0; v < cell.n; ++v) error = std::max(error, cell.x[d_ * cell.n + v]);
    for (Index i = 0; i < m; ++i) {
      const double least = least_value(cell, error, form_.data() + i * (d_ + 1)) - room_[i] * 1.001;
      if (!(least > -INF)) return false;
      const Index r = stage.asked.rows[i % n];
      if (i < n)
        low_[r] = std::max(low_[r], least);
      else
        high_[r] = std::min(high_[r], -least);
    }
    return true;
  }

  // Combinations of enclosed units as those of the rows they read, from below, and these as those of units in front.
  void replace(Stage& stage, Index m) {
    const Index n = stage.size();
    const double share = 8 * U * double(8 + n + net_.layers);
    weight_.resize(m * n);
    for (Index i = 0; i < m; ++i) {
      const Relaxed r = relax(weight_.data() + i * n, stage.sum.data() + i * n, stage.slope[0].data(),
                              stage.slope[1].data(), stage.constant[0].data(), stage.constant[1].data(),
                              stage.read.error.data(), n);
      form_[i * (d_ + 1) + d_] += r.constant;
      room_[i] += r.error + share * r.size + double(n) * net_.lost;
    }
    out_.resize(m * stage.width);
    multiply(out_.data(), weight_.data(), stage.read.weights.data(), m, n, stage.width);
    distribute(stage, m);
  }

  // Add up the columns of out_.
  void distribute(const Stage& stage, Index m) {
    const Index width = stage.width;
    for (Index i = 0; i < m; ++i)
      for (Index t = 0; t <= d_; ++t) form_[i * (d_ + 1) + t] += out_[i * width + stage.form + t];
    for (const Part& part : stage.parts) {
      Stage& front = stages_[part.k];
      const Index n = front.size();
      if (n == 0) continue;
      if (!front.used) front.sum.assign(m * n, 0.0);
      front.used = true;
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) front.sum[i * n + j] += out_[i * width + part.begin + j];
    }
  }

  double least_value(const Cell& cell, double error, const double* form) const {
    double size = std::fabs(form[d_]), slope = 0;
    for (Index t = 0; t < d_; ++t) {
      slope += std::fabs(form[t]);
      size += std::fabs(form[t]) * net_.reach[t];
    }
    if (!(size < INF)) return -INF;
    const double least = least_of_row(cell.x, cell.n, form, d_);
    return least - (slope * error + double(d_ + 6) * U * size) * 1.001 - net_.lost;
  }

  // The lines around the units of a layer whose rows are bounded, without units that are zero; false if unknown.
  bool enclose(Stage& stage) {
    stage.units.clear();
    stage.read.rows.clear();
    for (int side = 0; side < 2; ++side) stage.slope[side].clear(), stage.constant[side].clear();
    stage.over.clear();
    stage.under.clear();
    for (Index u : units_) {
      Enclosed e;
      const bool known = net_.kind[u] == PIECES ? enclose_pieces(net_, low_, high_, u, e)
                                                : enclose_maximum(net_, low_, high_, u, e);
      if (!known) return false;
      if (e.slope[0] == 0 && e.slope[1] == 0 && e.constant[0] == 0 && e.constant[1] == 0) continue;
      stage.units.push_back(u);
      stage.read.rows.push_back(e.row);
      for (int side = 0; side < 2; ++side) {
        stage.slope[side].push_back(e.slope[side]);
        stage.constant[side].push_back(e.constant[side]);
      }
      stage.over.push_back(e.gap[0]);
      stage.under.push_back(e.gap[1]);
    }
    weigh(stage, stage.read);
    return true;
  }

  // Whether some case has no row that is positive all over the cell.
  bool possible() const {
    const Index r0 = net_.pre_begin[net_.layers - 1];
    for (std::size_t c = 0; c + 1 < cases_.begin.size(); ++c) {
      bool met = true;
      for (Index i = cases_.begin[c]; i < cases_.begin[c + 1]; ++i) met &= !(low_[r0 + cases_.row[i]] > 0);
      if (met) return true;
    }
    return false;
  }

  const State& s_;
  const Network& net_;
  const Index d_;
  const Cases cases_;
  std::vector<Stage> stages_;
  std::vector<double> size_, wrong_;  // of rows: what terms can be in the domain; errors of weights times units
  std::vector<Index> place_, units_;
  double *low_ = nullptr, *high_ = nullptr;  // ends of rows on the cell
  std::vector<double> weight_, form_, room_, out_, scratch_;
};

}  // namespace polytope
