// A cell's own network: the units that can still bend inside it, searched at the speed of a small network.
//
// On a cell where few units of its layer are undecided, most units of wide later layers stay on one piece whatever
// these do. A row of a later layer is then an affine function of x and of the outputs of undecided units,
// z_r = g_r(x) + sum_u M_ru h_u; an output lies between two parallel affine functions, h_u in a_u(x) +- rho_u. Units
// that cannot bend are eliminated, layer by layer, and the rest is a network of its own, whose regions are those of the
// cell. Only clear signs are used there: at the first doubtful one nothing is done, and the search splits the cell.
#pragma once
#include <optional>

#include "search.hpp"
#include "vertex_geometry.hpp"

namespace polytope {

// The undecided units of a cell and of those below it, with what is known of the others.
class Reduced {
 public:
  static constexpr Index MOST = 40;  // undecided units

  Network net;                       // of the undecided units, then of those that carry the cell's facets
  std::vector<Index> units, pieces;  // by number in the given network; pieces of the latter
  std::vector<Index> on;  // units of later layers that are fixed on their second piece, all others on the first
  Cell cell;
  std::vector<Facet> facets;

  explicit Reduced(const State& s) : s_(s), given_(s.net), d_(s.net.d), forms_(given_.layers) {}

  // False if too many units stay undecided.
  bool make(const Cell& c, Index layer, const Item* items, Index n) {
    first_ = layer;
    count_ = 0;
    on.clear();
    box_of(c);
    for (Index i = 0; i < n; ++i) {
      const Index r = given_.source[items[i].unit];
      double g[MOST_DIMENSIONS + 1];
      for (Index t = 0; t <= d_; ++t) g[t] = s_.maps.at(t, r);
      const double error = s_.maps.at(d_ + 1, r);
      if (!add(items[i].unit, c, g, nullptr, error, error)) return false;
    }
    ends_.assign(1, count_);
    for (Index q = layer + 1; q < given_.layers; ++q) {
      extend(q, layer);
      if (!decide(q, c)) return false;
      ends_.push_back(count_);
    }
    take_facets(c);
    build();
    return true;
  }

 private:
  struct Unit {  // undecided: its row, and a function that its output is near of
    Index unit, row;
    double g[MOST_DIMENSIONS + 1], error;         // affine part of the row; bound on the error of that
    double weight[MOST], wrong[MOST];             // of earlier units in the row, with bounds on their errors
    double near[MOST_DIMENSIONS + 1], off, size;  // h = near(x) +- off on the cell; size of near in the domain
  };
  struct Forms {                  // of the rows of a layer
    std::vector<double> numbers;  // planes: d + 1 coefficients, then of the units undecided so far
    std::vector<double> error;    // of the affine part
    std::vector<Index> on;        // rows whose units are fixed and not zero
    Index width = 0;              // planes
    std::vector<std::pair<const double*, std::vector<double>>> wrong;  // errors of coefficients: norm[r] * by unit
  };

  double rounding(Index q) const { return given_.gamma[q] > 0 ? given_.gamma[q] + 4 * U : 0; }

  void box_of(const Cell& c) {
    double error = 0;
    for (Index i = 0; i < c.n; ++i) error = std::max(error, c.x[d_ * c.n + i]);
    for (Index t = 0; t < d_; ++t) {
      const auto [low, high] = std::minmax_element(c.x + t * c.n, c.x + (t + 1) * c.n);
      middle_[t] = 0.5 * (*low + *high);
      half_[t] = 0.5 * (*high - *low) * 1.0001 + error + 16 * double(d_ + 4) * U * given_.reach[t];
    }
  }

  // The rows of layer q, with all fixed units eliminated.
  void extend(Index q, Index layer) {
    Forms& f = forms_[q];
    const Index r0 = given_.pre_begin[q], n = given_.pre_begin[q + 1] - r0;
    f.width = d_ + 1 + count_;
    f.numbers.resize(f.width * n);
    std::fill_n(f.numbers.data() + (d_ + 1) * n, count_ * n, 0.0);
    for (Index t = 0; t <= d_; ++t) std::copy_n(s_.maps.plane(t) + r0, n, f.numbers.data() + t * n);
    f.error.assign(s_.maps.plane(d_ + 1) + r0, s_.maps.plane(d_ + 1) + r0 + n);
    f.on.clear();
    f.wrong.clear();
    planes_.resize(f.width);
    for (Index t = 0; t < f.width; ++t) planes_[t] = f.numbers.data() + t * n;
    for (Index p = layer; p < q; ++p)
      for (Index e = given_.reader_begin[p]; e < given_.reader_begin[p + 1]; ++e)
        if (given_.reader_layer[e] == q) read(f, e, p, q, n);
  }

  // Add what the rows read of layer p.
  void read(Forms& f, Index e, Index p, Index q, Index n) {
    const double* base = given_.dense.data() + given_.reader_dense[e];
    const double* norm = given_.norm.data() + given_.reader_norm[e];
    const Index u0 = given_.unit_begin[p];
    for (Index u = p > first_ ? ends_[p - first_ - 1] : 0; u < ends_[p - first_]; ++u)
      add_column(planes_[d_ + 1 + u], base + (units_[u].unit - u0) * n, 1.0, n);
    const Forms& from = forms_[p];
    const Index m = p > first_ ? Index(from.on.size()) : 0, width = from.width, rows = given_.width(p);
    const double g = rounding(q);
    std::vector<double> wrong(count_, g);  // also of sums with the weights themselves
    if (m > 0) {
      columns_.resize(m);
      x_.resize(m * width);
      double total = 0;
      sums_.assign(width, 0.0);
      for (Index k = 0; k < m; ++k) {
        const Index j = from.on[k];
        columns_[k] = base + j * n;
        double size = 0;
        for (Index t = 0; t < width; ++t) {
          const double c = from.numbers[t * rows + j];
          x_[k * width + t] = c;
          if (t <= d_) {
            size += std::fabs(c) * (t < d_ ? given_.reach[t] : 1.0);
          } else {
            const double off = coefficient_error(from, j, t - d_ - 1) + g * std::fabs(c);
            sums_[t] += off * off;
          }
        }
        total += (from.error[j] + g * size) * (from.error[j] + g * size);
      }
      add_columns(planes_.data(), width, columns_.data(), x_.data(), m, n);
      add_column(f.error.data(), norm, std::sqrt(total) * 1.002 + given_.lost + LOST_ROOT, n);
      for (Index u = 0; u < width - d_ - 1; ++u) wrong[u] += std::sqrt(sums_[d_ + 1 + u]) * 1.002 + LOST_ROOT;
    }
    f.wrong.emplace_back(norm, std::move(wrong));
  }

  double coefficient_error(const Forms& f, Index row, Index u) const {
    double error = 0;
    for (const auto& [norm, wrong] : f.wrong) error += norm[row] * wrong[u];
    return error * 1.001;
  }

  // Which units of layer q are fixed all over the cell; the others are added to the undecided ones.
  bool decide(Index q, const Cell& c) {
    Forms& f = forms_[q];
    const Index n = given_.width(q), u0 = given_.unit_begin[q], known = count_;
    near_.resize((d_ + 1) * n);
    off_.resize(padded(n));
    value_.resize(padded(n));
    radius_.resize(n);
    std::copy_n(f.numbers.data(), (d_ + 1) * n, near_.data());
    std::copy_n(f.error.data(), n, radius_.data());
    for (const auto& [norm, wrong] : f.wrong) {
      double total = 0;
      for (Index u = 0; u < known; ++u) total += wrong[u] * (units_[u].size + units_[u].off);
      add_column(radius_.data(), norm, total * 1.001, n);
    }
    for (Index t = 0; t <= d_; ++t)
      add_absolute(radius_.data(), f.numbers.data() + t * n, ROUNDING * (t < d_ ? given_.reach[t] : 1.0), n);
    for (Index u = 0; u < known; ++u) {
      const double* column = f.numbers.data() + (d_ + 1 + u) * n;
      for (Index t = 0; t <= d_; ++t) add_column(near_.data() + t * n, column, units_[u].near[t], n);
      add_absolute(radius_.data(), column, (units_[u].off + ROUNDING * units_[u].size) * 1.0001, n);
    }
    const double* planes[MOST_DIMENSIONS];
    for (Index t = 0; t < d_; ++t) planes[t] = near_.data() + t * n;
    bound_rows(value_.data(), off_.data(), planes, middle_, half_, near_.data() + d_ * n, radius_.data(), ROUNDING,
               given_.lost, d_, n);
    above_.resize((n + 63) / 64);
    below_.resize((n + 63) / 64);
    clear_of(above_.data(), below_.data(), value_.data(), off_.data(), 0, n);
    for (Index w = 0; 64 * w < n; ++w)
      for (Bits left = ~below_[w] & first_bits(n - 64 * w); left; left &= left - 1) {
        const Index j = 64 * w + std::countr_zero(left);
        const int sides = above_[w] & left & -left ? POSITIVE : sides_of(c, j, n);
        if (sides == POSITIVE) fix_on(f, u0, j);
        if (sides == POSITIVE || sides == NEGATIVE) continue;
        double g[MOST_DIMENSIONS + 1];
        for (Index t = 0; t <= d_; ++t) g[t] = near_[t * n + j];
        if (!add(u0 + j, c, g, &f, f.error[j], radius_[j])) return false;
      }
    return true;
  }

  void fix_on(Forms& f, Index u0, Index j) {
    f.on.push_back(j);
    on.push_back(u0 + j);
  }

  // The signs that row j can take on the cell.
  int sides_of(const Cell& c, Index j, Index n) const {
    double slope = 0;
    for (Index t = 0; t < d_; ++t) slope += std::fabs(near_[t * n + j]);
    int out = NONE;
    for (Index i = 0; i < c.n && out != BOTH; ++i) {
      double x = near_[d_ * n + j];
      for (Index t = 0; t < d_; ++t) x += near_[t * n + j] * c.x[t * c.n + i];
      const double room = (radius_[j] + slope * c.x[d_ * c.n + i]) * 1.0001 + given_.lost;
      out |= x > room ? POSITIVE : x < -room ? NEGATIVE : BOTH;
    }
    return out;
  }

  // One more undecided unit, whose row is near an affine function `around` on the cell, +- radius.
  bool add(Index u, const Cell& c, const double* around, const Forms* f, double error, double radius) {
    if (count_ == MOST) return false;
    Unit& unit = units_[count_];
    unit.unit = u;
    unit.row = given_.source[u];
    const Index n = f ? given_.width(layer_of(u)) : 0, j = f ? u - given_.unit_begin[layer_of(u)] : 0;
    for (Index t = 0; t <= d_; ++t) unit.g[t] = f ? f->numbers[t * n + j] : around[t];
    unit.error = error;
    for (Index v = 0; v < count_; ++v) {
      const bool earlier = f && v < f->width - d_ - 1;
      unit.weight[v] = earlier ? f->numbers[(d_ + 1 + v) * n + j] : 0;
      unit.wrong[v] = earlier ? coefficient_error(*f, j, v) : 0;
    }
    enclose(unit, c, around, radius);
    ++count_;
    return true;
  }

  Index layer_of(Index u) const {
    Index q = 0;
    while (u >= given_.unit_begin[q + 1]) ++q;
    return q;
  }

  // max(z, 0) for z between low and high lies between two lines of slope high / (high - low).
  void enclose(Unit& unit, const Cell& c, const double* around, double radius) const {
    double low = INF, high = -INF, size = std::fabs(around[d_]), slope = 0, error = 0;
    for (Index t = 0; t < d_; ++t) {
      slope += std::fabs(around[t]);
      size += std::fabs(around[t]) * given_.reach[t];
    }
    for (Index i = 0; i < c.n; ++i) {
      double x = around[d_];
      for (Index t = 0; t < d_; ++t) x += around[t] * c.x[t * c.n + i];
      low = std::min(low, x);
      high = std::max(high, x);
      error = std::max(error, c.x[d_ * c.n + i]);
    }
    const double room = (radius + slope * error + ROUNDING * size) * 1.0001 + given_.lost;
    low = std::min(low - room, 0.0);
    high = std::max(high + room, 0.0);
    const double share = high > low ? high / (high - low) : 0, lift = -0.5 * share * low;
    for (Index t = 0; t <= d_; ++t) unit.near[t] = share * around[t];
    unit.near[d_] += lift;
    unit.size = (share * size + lift) * 1.0001;
    unit.off = (share * room + lift) * 1.0001 + ROUNDING * (unit.size + high - low) + given_.lost;
  }

  // The facets of the cell, numbered anew; the units that carry them come behind the undecided ones.
  void take_facets(const Cell& c) {
    facets.clear();
    units.clear();
    pieces.clear();
    for (Index u = 0; u < count_; ++u) units.push_back(units_[u].unit);
    const Index words = given_.words, slots = d_ == 2 ? c.n : 64 * words;
    slots_.assign(slots, 0);
    cell = c;
    cell.facets = slots_.data();
    for (Index i = 0; i < slots; ++i) {
      if (d_ != 2) {
        Bits used = 0;
        for (Index a = 0; a < c.n; ++a) used |= c.sets[(i / 64) * c.n + a];
        if (!((used >> (i % 64)) & 1)) continue;
      }
      slots_[i] = Index(facets.size());
      facets.push_back(s_.facets[c.facets[i]]);
      Facet& f = facets.back();
      f.root_a = f.root_b = NOBODY;
      if (f.unit < 0) continue;
      pieces.push_back(s_.maps.piece[f.unit]);
      units.push_back(f.unit);
      f.unit = Index(units.size()) - 1;
      f.name = {NOBODY, NOBODY, 0};
    }
  }

  // The network of the undecided units.
  void build() {
    const Index k = count_, all = Index(units.size());
    begin_.assign({0, 0});
    for (Index end : ends_)
      if (end > begin_.back()) begin_.push_back(end);
    const Index layers = Index(begin_.size()) - 1;
    kind_.assign(all, PIECES);
    two_.assign(all, 2);
    table_.resize(all);
    place_.resize(all);
    numbers_.resize(all);
    minus_.assign(all, -1);
    none_.assign(all + layers + 1, 0);
    for (Index u = 0; u < all; ++u) {
      numbers_[u] = u;
      table_[u] = given_.table[units[u]];
      place_[u] = given_.place[units[u]];
    }
    double wide = 1;
    for (Index t = 0; t < d_; ++t) wide += given_.reach[t];
    const double lost = std::max(given_.lost, 0x1p-530 * wide);  // no weight is less than TINY
    gamma_.assign(layers, 0.0);
    constant_.resize((d_ + 2) * k);
    for (Index q = 1; q < layers; ++q) {
      gamma_[q] = double(begin_[q] + 16) * U;
      for (Index u = begin_[q]; u < begin_[q + 1]; ++u) {
        const Unit& unit = units_[u];
        double size = std::fabs(unit.g[d_]);
        for (Index t = 0; t < d_; ++t) size += std::fabs(unit.g[t]) * given_.reach[t];
        for (Index t = 0; t <= d_; ++t) constant_[t * k + u] = unit.g[t];
        constant_[(d_ + 1) * k + u] = (unit.error + gamma_[q] * size) * 1.001 + (size > 0 ? lost : 0);
      }
    }
    readers_.assign({0, 0});
    reader_layer_.clear();
    reader_dense_.clear();
    dense_.clear();
    wrong_.clear();
    for (Index p = 1; p < layers; ++p) {
      for (Index q = p + 1; q < layers; ++q) {
        reader_layer_.push_back(q);
        reader_dense_.push_back(Index(dense_.size()));
        for (Index u = begin_[p]; u < begin_[p + 1]; ++u)
          for (Index v = begin_[q]; v < begin_[q + 1]; ++v) {
            const double w = units_[v].weight[u], size = std::fabs(w);
            dense_.push_back(size < TINY ? 0 : w);
            wrong_.push_back(units_[v].wrong[u] + (size < TINY ? size : 0));
          }
      }
      readers_.push_back(Index(reader_layer_.size()));
    }
    plain_.assign(layers, 0);  // their places in patterns are not consecutive
    minus_.resize(std::max(all, Index(reader_layer_.size())), -1);
    net = given_;
    net.layers = layers;
    net.early = false;
    net.few = 0;
    net.weights_have_errors = true;
    net.lost = lost;
    net.kind = kind_;
    net.source = numbers_;
    net.n_pieces = two_;
    net.table = table_;
    net.place = place_;
    net.id = units;
    net.pre_begin = net.unit_begin = begin_;
    net.reader_begin = readers_;
    net.plain = plain_;
    net.gamma = gamma_;
    net.reader_layer = reader_layer_;
    net.reader_dense = reader_dense_;
    net.reader_sparse = net.reader_norm = minus_;
    net.dense = dense_;
    net.dense_error = wrong_;
    net.alias = minus_;
    net.same = numbers_;
    net.given = none_;
    net.constant = constant_;
  }

  static constexpr double ROUNDING = 0x1p-43;  // more than sums of some hundred terms are off, as a share of their size
  static constexpr double TINY = 0x1p-500;
  static constexpr Index NOBODY = -9;

  const State& s_;
  const Network& given_;
  const Index d_;
  Index first_ = 0, count_ = 0;
  Unit units_[MOST];
  std::vector<Index> ends_;  // of the undecided units by layer
  std::vector<Forms> forms_;
  double middle_[MOST_DIMENSIONS], half_[MOST_DIMENSIONS];
  std::vector<double*> planes_;
  std::vector<const double*> columns_;
  std::vector<double> x_, sums_, near_, off_, value_, radius_;
  std::vector<Bits> above_, below_;
  std::vector<std::int8_t> kind_;
  std::vector<Index> slots_, begin_, two_, table_, place_, numbers_, minus_, none_, readers_, reader_layer_,
      reader_dense_, plain_;
  std::vector<double> gamma_, constant_, dense_, wrong_;
};

// Searches cells in networks of their own, where that pays.
class Undecided : public OwnNetwork {
 public:
  static constexpr Index FEW = 8;    // undecided units of a layer
  static constexpr Index WIDE = 96;  // units of later layers

  Undecided(State& s, Reducer& reducer) : s_(s), pays_(is_wide(s.net)), reduced_(s), reducer_(reducer) {}

  std::optional<Index> cells(const Cell& c, Index layer, const Item* items, Index n, Watch& watch) override {
    if (!pays_ || n > FEW || !s_.touches.empty() || failed_ > 16 + tried_ / 4) return {};
    if (s_.net.unit_begin[s_.net.layers] - s_.net.unit_begin[layer + 1] < WIDE) return {};
    ++tried_;
    const Sink::Mark mark = s_.sink->mark();
    std::optional<Index> found = search(c, layer, items, n);
    if (found && watch.too_many(*found)) found.reset();
    if (!found) s_.sink->undo(mark);
    failed_ += !found;
    return found;
  }

 private:
  // Signs that are not clear end the search.
  struct Doubt : ExactSigns {
    Control& control;
    explicit Doubt(Control& control) : control(control) {}
    double value(const std::vector<Name>&, const Name&, const AffineMaps&) override {
      control.stop = true;
      return 1;
    }
  };

  // Rectifiers only, all layers read densely, no unit a copy of another.
  static bool is_wide(const Network& net) {
    const Index first = net.unit_begin[1], all = net.unit_begin[net.layers];
    if (net.early || net.weights_have_errors || all - first < WIDE) return false;
    for (Index u = first; u < all; ++u) {
      const Index at = net.table[u];
      if (net.kind[u] != PIECES || net.n_pieces[u] != 2 || net.breakpoint[at] != 0) return false;
      if (net.slope[at] != 0 || net.slope[at + 1] != 1 || net.intercept[at] != 0 || net.intercept[at + 1] != 0)
        return false;
      if (net.source[u] != u - first) return false;
    }
    for (Index r = 0; r < net.n_pre(); ++r)
      if (net.alias[r] >= 0 || net.same[r] != r) return false;
    for (Index e = 0; e < net.reader_begin[net.layers]; ++e)
      if (net.reader_dense[e] < 0) return false;
    return true;
  }

  std::optional<Index> search(const Cell& c, Index layer, const Item* items, Index n) {
    if (!reduced_.make(c, layer, items, n)) return {};
    control_.stop = false;
    control_.seconds = s_.control.seconds;
    control_.start = s_.control.start;
    if (!control_.attend)
      control_.attend = [&outer = s_.control] {
        if (outer.attend && !outer.attend()) outer.stop = true;
        return !outer.stop;
      };
    if (!geometry_) {
      geometry_ = std::make_unique<VertexGeometry>(reduced_.net, *s_.sink, control_, doubt_, reducer_);
      search_ = std::make_unique<Search<VertexGeometry>>(*geometry_, control_);
    }
    State& inner = geometry_->state;
    inner.maps.reset();
    inner.facets = reduced_.facets;
    inner.margin = s_.margin;
    for (std::size_t i = 0; i < reduced_.pieces.size(); ++i)
      inner.maps.piece[reduced_.units.size() - reduced_.pieces.size() + i] = reduced_.pieces[i];
    inner.hash = s_.hash;
    if (s_.sink->keeps()) {
      std::copy(s_.label.begin(), s_.label.end(), inner.label.begin());
      write_fixed(inner, layer);
    }
    const Index before = search_->watch.regions;
    search_->left.clear();
    search_->run([&](Search<VertexGeometry>& it) { it.start(reduced_.cell, 1, n); }, {});
    if (control_.stop || geometry_->crowded) return {};
    s_.margin = std::min(s_.margin, inner.margin);
    return search_->watch.regions - before;
  }

  // Labels of the fixed units of later layers.
  void write_fixed(State& inner, Index layer) {
    const Network& net = s_.net;
    for (Index u = net.unit_begin[layer + 1]; u < net.unit_begin[net.layers]; ++u)
      if (net.place[u] >= 0) inner.label[net.place[u]] = net.label[net.table[u]];
    for (Index u : reduced_.on)
      if (net.place[u] >= 0) {
        inner.label[net.place[u]] = net.label[net.table[u] + 1];
        inner.hash += mix(u, 1);
      }
  }

  State& s_;
  const bool pays_;
  Index tried_ = 0, failed_ = 0;
  Reduced reduced_;
  Reducer& reducer_;
  Control control_;
  Doubt doubt_{control_};
  std::unique_ptr<VertexGeometry> geometry_;
  std::unique_ptr<Search<VertexGeometry>> search_;
};

}  // namespace polytope
