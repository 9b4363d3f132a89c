// Units of later layers decided long before their turn, for networks too wide to visit per cell.
//
// On a cell, the undecided units of the present layer are enclosed between parallel affine functions,
// h_u in lambda z_u + mu +- rho, and the enclosures go forward through all later layers. A unit whose enclosure
// lies off its breakpoints stays on its piece on every cell below: it is fixed. Fixed units that are zero need no
// more updates of their row, the others hand every change of their row on at once, so that the flip of one unit
// costs its cone through the units that are not zero, and entering a layer costs the units that are still free.
#pragma once
#include "signs.hpp"

namespace polytope {

class Early {
 public:
  explicit Early(State& s)
      : s_(s),
        net_(s.net),
        d_(net_.d),
        width_(d_ + 2),
        change_(std::size_t(net_.n_pre()) * width_, 0.0),
        hit_(net_.n_pre(), 0),
        hits_(net_.layers),
        fresh_(net_.layers) {
    s_.fix.assign(net_.n_units(), 0);
    s_.need.resize(net_.n_pre());
    for (Index r = 0; r < net_.n_pre(); ++r) s_.need[r] = net_.of_begin[r + 1] - net_.of_begin[r];
  }

  // Hand units of one layer, decided together, on to all rows that depend on them.
  void push(const Index* units, Index n, Index layer) {
    for (Index i = 0; i < n; ++i) {
      fresh_[layer].push_back(units[i]);
      s_.fix[units[i]] = 2;
      s_.fixed.push_back({units[i], false});
    }
    propagate(layer);
  }

  // Fix the units of later layers that stay on one piece on the cell; the units that are free then, by layer.
  const Free* look_ahead(const Cell& cell, Index layer, const Item* undecided, Index n, const Free* old) {
    if (old) {
      Index left = 0;
      for (Index q = layer + 1; q < net_.layers; ++q) left += old[q].n;
      if (left == 0) return old;
    }
    middle_of(cell);
    for (Index i = 0; i < n; ++i) {
      const Index u = undecided[i].unit, piece = enclose(cell, u);
      if (piece < 0 || full_form(u, piece)) push_column(u, layer, form_);
    }
    Free* free = s_.arena.take<Free>(net_.layers);
    for (Index q = layer + 1; q < net_.layers; ++q) {
      hand_on(q);
      const Index all = old ? old[q].n : net_.width(q);
      Index* units = s_.arena.take<Index>(all);
      Index kept = 0;
      for (Index i = 0; i < all; ++i) {
        const Index u = old ? old[q].units[i] : net_.unit_begin[q] + i, piece = enclose(cell, u);
        if (piece >= 0) {
          fix_unit(u, piece, q);
          if (full_form(u, piece)) push_column(u, q, form_);
        } else {
          units[kept++] = u;
          push_column(u, q, form_);
        }
      }
      free[q] = {units, kept};
      forget(q);
    }
    propagate(layer + 1);
    return free;
  }

 private:
  struct Function {  // coefficients, constant, radius (or error), size
    double c[MOST_DIMENSIONS + 1];
    double error, size;
  };

  double& change(Index r, Index t) { return change_[r * width_ + t]; }
  double rounding(Index q) const { return net_.gamma[q] > 0 ? net_.gamma[q] + 4 * U : 0; }

  // Add the column of unit u times a function to the changes of all its readers.
  void push_column(Index u, Index layer, const Function& h) {
    for (Index e = net_.reader_begin[layer]; e < net_.reader_begin[layer + 1]; ++e) {
      const Index q = net_.reader_layer[e], r0 = net_.pre_begin[q], n = net_.pre_begin[q + 1] - r0;
      const double error =
          (h.error + rounding(q) * h.size) * (net_.gamma[q] > 0 ? 1.001 : 1.0) + (net_.gamma[q] > 0 ? net_.lost : 0);
      const double wrong = (h.error + h.size) * 1.001 + net_.lost;
      const Index j = u - net_.unit_begin[layer];
      const bool dense = net_.reader_dense[e] >= 0;
      const Index p0 = dense ? net_.reader_dense[e] + j * n : net_.column_begin[net_.reader_sparse[e] + j];
      const Index p1 = dense ? p0 + n : net_.column_begin[net_.reader_sparse[e] + j + 1];
      for (Index p = p0; p < p1; ++p) {
        const Index r = dense ? r0 + p - p0 : net_.column_row[p];
        if (s_.need[r] == 0) continue;
        const double c = dense ? net_.dense[p] : net_.column_value[p];
        if (!hit_[r]) {
          hit_[r] = 1;
          hits_[q].push_back(r);
        }
        double* to = &change(r, 0);
        for (Index t = 0; t <= d_; ++t) to[t] += c * h.c[t];
        to[d_ + 1] += std::fabs(c) * error;
        if (net_.weights_have_errors) to[d_ + 1] += net_.dense_error[p] * wrong;
      }
    }
  }

  // The change of fixed unit u that comes from the change of row r; false if there is none.
  bool change_of(Index u, Index r, Function& h) {
    const Index at = net_.table[u] + s_.maps.piece[u];
    double slope = 1;
    if (net_.kind[u] == PIECES) {
      slope = net_.slope[at];
      if (slope == 0) return false;
    } else if (net_.members[at] != r) {
      return false;
    }
    double size = 0, given = std::fabs(change(r, d_)) + change(r, d_ + 1);
    for (Index t = 0; t < d_; ++t) {
      given += std::fabs(change(r, t));
      h.c[t] = slope * change(r, t);
      size += std::fabs(h.c[t]) * net_.reach[t];
    }
    h.c[d_] = slope * change(r, d_);
    h.error = std::fabs(slope) * change(r, d_ + 1);
    h.size = size + std::fabs(h.c[d_]);
    if (given != 0 && std::fabs(slope) != 1) h.error = h.error * (1 + 4 * U) + 4 * U * h.size + net_.lost;
    return given != 0;
  }

  // Changes of the rows of layer q go through those fixed units that were fixed before.
  void hand_on(Index q) {
    for (std::size_t i = 0; i < hits_[q].size(); ++i) {
      const Index r = hits_[q][i];
      for (Index j = net_.of_begin[r]; j < net_.of_begin[r + 1]; ++j) {
        const Index u = net_.of_unit[j];
        if (s_.fix[u] == 1 && change_of(u, r, form_)) push_column(u, q, form_);
      }
    }
  }

  // Clear the changes of the rows of layer q.
  void forget(Index q) {
    for (Index r : hits_[q]) {
      hit_[r] = 0;
      std::fill_n(&change(r, 0), width_, 0.0);
    }
    hits_[q].clear();
  }

  // Add the change of row r to the row, with the rounding of this very sum to its error.
  void apply(Index r) {
    s_.maps.save_row(r);
    double old = s_.maps.at(d_ + 1, r), size = 0;
    for (Index t = 0; t <= d_; ++t) {
      double& z = s_.maps.plane(t)[r];
      old += std::fabs(z);
      z += change(r, t);
      size += t < d_ ? std::fabs(z) * net_.reach[t] : std::fabs(z);
    }
    double& error = s_.maps.plane(d_ + 1)[r];
    error = old == 0 ? change(r, d_ + 1) : (error + change(r, d_ + 1)) * (1 + 4 * U) + 1.01 * U * size + net_.lost;
  }

  // Add the units that were just fixed, from a layer on, to all rows that depend on them.
  void propagate(Index layer) {
    std::vector<double> c(d_ + 1);
    for (Index q = layer; q < net_.layers; ++q) {
      for (Index r : hits_[q])
        if (s_.need[r]) apply(r);
      hand_on(q);
      for (Index u : fresh_[q]) {
        s_.fix[u] = 1;
        Form h{c.data(), 0, 0};
        if (!s_.maps.unit_form(u, h)) continue;
        std::copy(c.begin(), c.end(), form_.c);
        form_.error = h.error;
        form_.size = h.size;
        push_column(u, q, form_);
      }
      fresh_[q].clear();
      forget(q);
    }
  }

  // Row r with all that is yet to come.
  void form_of(Index r, Function& h) {
    double size = 0;
    for (Index t = 0; t <= d_; ++t) {
      h.c[t] = s_.maps.at(t, r) + change(r, t);
      size += t < d_ ? std::fabs(h.c[t]) * net_.reach[t] : std::fabs(h.c[t]);
    }
    h.error = (s_.maps.at(d_ + 1, r) + change(r, d_ + 1)) * 1.0001 + 2 * U * size;
    h.size = size;
  }

  // Smallest and largest value of a function on the cell, radius and errors included.
  std::pair<double, double> span_of(const Cell& c, const Function& h) const {
    double low = 0, high = 0, error = 0, slope = 0;
    for (Index t = 0; t < d_; ++t) slope += std::fabs(h.c[t]);
    for (Index i = 0; i < c.n; ++i) {
      double x = h.c[d_];
      for (Index t = 0; t < d_; ++t) x += h.c[t] * c.x[t * c.n + i];
      error = std::max(error, c.x[d_ * c.n + i]);
      low = i ? std::min(low, x) : x;
      high = i ? std::max(high, x) : x;
    }
    const double room = (h.error + slope * error + double(d_ + 6) * U * h.size) * 1.0001 + net_.lost;
    return {low - room, high + room};
  }

  // As root_of, as far as the units that r copies are fixed.
  Index name_of(Index r) const {
    r = net_.same[r];
    while (net_.alias[r] >= 0) {
      const Index u = net_.alias[r], at = net_.table[u] + s_.maps.piece[u];
      if (s_.fix[u] == 0) return r;
      if (net_.kind[u] != PIECES) {
        r = net_.same[net_.members[at]];
        continue;
      }
      if (net_.intercept[at] != 0 || (net_.slope[at] != 0 && net_.slope[at] != 1)) return r;
      if (net_.slope[at] == 0) return -1;
      r = net_.same[net_.source[u]];
    }
    return r;
  }

  // The piece of unit u all over the cell, or -1 and two parallel functions around it in form_.
  Index enclose(const Cell& c, Index u) { return net_.kind[u] == PIECES ? enclose_pieces(c, u) : enclose_group(c, u); }

  Index enclose_pieces(const Cell& c, Index u) {
    Function& h = form_;
    form_of(net_.source[u], h);
    const auto [low, high] = span_of(c, h);
    const Index at = net_.table[u], n = net_.n_pieces[u];
    const auto value = [&](Index piece, double z) { return net_.slope[at + piece] * z + net_.intercept[at + piece]; };
    Index s = 0;
    while (s < n - 1 && low > net_.breakpoint[at + s]) ++s;
    if (s == n - 1 || high < net_.breakpoint[at + s]) return s;
    Index e = s;
    while (e < n - 1 && high > net_.breakpoint[at + e]) ++e;
    const double f0 = value(s, low), f1 = value(e, high);
    const double slope = high > low ? (f1 - f0) / (high - low) : 0;
    double below = std::min(f0 - slope * low, f1 - slope * high);
    double above = std::max(f0 - slope * low, f1 - slope * high);
    for (Index p = s; p < e; ++p)
      for (Index side = 0; side < 2; ++side) {
        const double x = net_.breakpoint[at + p], y = value(p + side, x) - slope * x;
        below = std::min(below, y);
        above = std::max(above, y);
      }
    double size = 0;
    for (Index t = 0; t <= d_; ++t) {
      h.c[t] *= slope;
      size += t < d_ ? std::fabs(h.c[t]) * net_.reach[t] : std::fabs(h.c[t]);
    }
    const double middle = 0.5 * (below + above);
    h.c[d_] += middle;
    h.size = size + std::fabs(middle);
    h.error = std::fabs(slope) * h.error * 1.0001 + 0.5001 * (above - below) +
              1e-13 * (std::fabs(f0) + std::fabs(f1) + h.size) + net_.lost;
    return -1;
  }

  void middle_of(const Cell& c) {
    for (Index t = 0; t < d_; ++t) {
      const auto [low, high] = std::minmax_element(c.x + t * c.n, c.x + (t + 1) * c.n);
      middle_[t] = 0.5 * (*low + *high);
    }
  }

  // The member that wins all over the cell, or -1 and two parallel functions around the maximum.
  Index enclose_group(const Cell& c, Index u) {
    Function& h = form_;
    const Index* members = net_.members.data() + net_.table[u];
    const Index n = net_.n_pieces[u];
    const auto value = [&](Index r) {
      double x = s_.maps.at(d_, r) + change(r, d_);
      for (Index t = 0; t < d_; ++t) x += (s_.maps.at(t, r) + change(r, t)) * middle_[t];
      return x;
    };
    Index best = 0;
    for (Index i = 1; i < n; ++i)
      if (value(members[i]) > value(members[best])) best = i;
    const Index name = name_of(members[best]);
    for (Index i = 0; i < best; ++i)
      if (name_of(members[i]) == name) {
        best = i;
        break;
      }
    form_of(members[best], h);
    double over = 0;
    bool clear = true;
    for (Index i = 0; i < n; ++i) {
      if (i == best || name_of(members[i]) == name) continue;
      Function g;
      form_of(members[i], g);
      for (Index t = 0; t <= d_; ++t) g.c[t] -= h.c[t];
      g.error += h.error;
      g.size += h.size;
      const double most = span_of(c, g).second;
      if (!(most < 0)) {
        clear = false;
        over = most <= over ? over : most;
      }
    }
    if (clear) return best;
    h.c[d_] += 0.5 * over;
    h.error += 0.5001 * over;
    h.size += over;
    return -1;
  }

  // Unit u of later layer q is on piece s on all of the present cell.
  void fix_unit(Index u, Index s, Index q) {
    s_.decide(u, s);
    if (net_.kind[u] != PIECES && s_.sink->keeps()) {
      const Index* members = net_.members.data() + net_.table[u];
      const Index name = name_of(members[s]);
      for (Index i = 0; i < net_.n_pieces[u]; ++i)
        if (i != s && name_of(members[i]) == name) s_.hash += net_.code_across(u, i);
    }
    s_.fix[u] = 2;
    fresh_[q].push_back(u);
    s_.change_need(u, -1);
    s_.fixed.push_back({u, true});
  }

  // The function of unit u on piece s, with all that is yet to come; false if it is zero.
  bool full_form(Index u, Index s) {
    Function& h = form_;
    const Index at = net_.table[u] + s;
    if (net_.kind[u] != PIECES) {
      form_of(net_.members[at], h);
      return true;
    }
    const double slope = net_.slope[at], intercept = net_.intercept[at];
    if (slope == 0 && intercept == 0) return false;
    form_of(net_.source[u], h);
    for (Index t = 0; t <= d_; ++t) h.c[t] *= slope;
    h.c[d_] += intercept;
    h.error *= std::fabs(slope);
    h.size = h.size * std::fabs(slope) + std::fabs(intercept);
    h.error += 4 * U * h.size + net_.lost;
    return true;
  }

  State& s_;
  const Network& net_;
  const Index d_, width_;
  std::vector<double> change_;  // [pre-activations][d + 2], of rows
  std::vector<std::int8_t> hit_;
  std::vector<std::vector<Index>> hits_, fresh_;  // by layer: rows that change, units just fixed
  double middle_[MOST_DIMENSIONS];
  Function form_;
};

}  // namespace polytope
