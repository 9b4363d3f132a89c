// Cells of inequalities: which signs a function takes inside, and the two parts that it cuts a cell into.
//
// A cell has rows r_i x + c_i <= 0 of unit length with error bounds, a center, proved to lie strictly inside, known
// points that probably do, and a dictionary (simplex.hpp). That a function is negative all over the cell is proved
// by multipliers: with y >= 0 its greatest value is at most that of f - sum_i y_i r_i on the domain's bounding box,
// plus all rounding errors. That it takes both signs is proved by the centers of the two parts.
#pragma once
#include "emit.hpp"
#include "search.hpp"
#include "simplex.hpp"

namespace polytope {

constexpr double LOST_IN_UNIT_ROWS = 0x1p-900;  // more than underflow can amount to with rows of unit length

// As Row, in any number of dimensions.
struct LongRow {
  std::vector<double> g;
  double error = 0, fixed = 0, per_error = 0, size = 0;
};

struct Inequalities {
  Dictionary dictionary;
  Index* facets;   // [m]: where each row comes from
  double* center;  // [d]
  double radius;   // how deep the center lies, proved
  double* pool;    // [d][points()], known points, zero behind
  Index n_pool, oldest;
  bool centered, solvable;
};

// What exact arithmetic is asked on a cell, and what it says.
struct Question {
  Name name;
  bool both;  // whether points in the two parts are wanted, if there are two
  int known;  // a sign that is known to occur
};
struct Answer {
  int signs;
  std::vector<double> below, above;  // points in the two parts, where asked for and there
};

struct ExactCells {
  // rows: sign and name of each; tight: numbers of rows that are probably tight at the optimum, box rows behind
  virtual Answer signs(const std::vector<std::pair<int, Name>>& rows, const std::vector<Index>& tight,
                       const Question& question, const AffineMaps& maps) = 0;
  virtual ~ExactCells() = default;
};

// The box around the domain, and a point deep inside; the domain's further rows are the units of layer 0.
struct LpRoot {
  std::vector<double> low, high, center;
  std::vector<Index> faces;  // of the box that are rows of the domain, as -(row + 1)
};

// How things were decided.
struct LpTally {
  Index programs = 0, ball = 0, points = 0, multipliers = 0, bare = 0, exact = 0, centers = 0, uncentered = 0;
};

class InequalityGeometry {
 public:
  using Cell = Inequalities;
  Index most_influential(Index) const { return -1; }
  static constexpr Index UNSEEN = 1;
  bool seeks() const { return false; }
  bool can_hold(const Cell&, Index, const Item*, Index, const double*&) { return true; }
  static constexpr bool COUNTS_LAST_UNIT = true;  // the last unit of the last layer need not be split to be counted

  // Without floats every sign is asked of exact arithmetic: slow, for comparison.
  InequalityGeometry(const Network& net, Sink& sink, Control& control, ExactCells& exact, const LpRoot& root,
                     Index most_rows, bool floats)
      : state(net, sink, control),
        floats_(floats),
        exact_(exact),
        root_(root),
        d_(net.d),
        room_(padded(most_rows + 2)),
        rows_((d_ + 3) * room_),
        low_(root.low),
        high_(root.high),
        g_{std::vector<double>(d_ + 1)},
        f_(d_ + 1),
        x_(d_),
        two_{std::vector<double>(d_), std::vector<double>(d_)},
        value_(points()),
        constant_(std::max(points(), room_)),
        weight_(std::max(points(), room_ + BLOCK + d_)),
        slack_(room_ + 2 * d_ + BLOCK),
        slack1_(room_ + 2 * d_ + BLOCK),
        below_(room_) {
    low_.resize(d_ + room_, 0.0);
    high_.resize(d_ + room_, INF);
  }

  State state;
  bool crowded = false;  // of vertices only
  LpTally tally;
  Effort effort;

  // The domain as a cell. `units` are its rows besides the box's.
  Inequalities root_cell(const Index* units, Index n) {
    Inequalities c{};
    c.dictionary = blank(n);
    clear(c.dictionary);
    c.facets = state.arena.take<Index>(n);
    c.center = state.arena.take<double>(d_);
    c.pool = state.arena.take<double>(d_ * points());
    std::fill_n(c.pool, d_ * points(), 0.0);
    std::copy(root_.center.begin(), root_.center.end(), c.center);
    for (Index t = 0; t < d_; ++t) {
      c.dictionary.nonbasic[t] = t;
      c.dictionary.upper[t] = 0;
    }
    c.solvable = true;
    for (Index i = 0; i < n; ++i) {
      const Name name{state.net.source[units[i]], -2, 0};
      load_function(name);
      error_ = double(d_ + 16) * U * size_;
      c.facets[i] = add_facet(-state.net.n_pieces[units[i]] - 1, 1, 0, name);
      add_row(i, 1);
      load_objective(c.dictionary, f_.data(), -1, weight_.data());
      if (c.solvable) c.solvable = extend(c.dictionary, effort);
      if (!c.solvable) c.dictionary.m = i + 1;
    }
    c.radius = depth(c, c.center);
    c.centered = floats_ && c.radius > 0;
    c.solvable &= floats_;
    return c;
  }

  Index slow_answers() const { return tally.programs + tally.exact; }  // from linear programs

  // Proved signs of a row inside the cell.
  int signs(Inequalities& c, const Name& name) {
    measure = 1e8;
    const Name roots = named(state, name);
    if (name.b != -2 && roots.a == roots.b && name.breakpoint == 0) return NONE;
    if (!load_function(name)) {
      const double constant = is_constant() ? g_.g[d_] : 0;
      if (constant > g_.fixed) return POSITIVE;
      return constant < -g_.fixed ? NEGATIVE : ask(c, name, false).signs;
    }
    int out = NONE;
    if (c.centered) {
      const double x = at(c.center);
      measure = std::fabs(x);
      if (x > error_) out = POSITIVE;
      if (x < -error_) out = NEGATIVE;
      if (c.radius > std::fabs(x) + 4 * error_) {
        ++tally.ball;
        return BOTH;
      }
      const Extent known = pool_values(c);
      if (known.high > error_) out |= POSITIVE;
      if (known.low < -error_) out |= NEGATIVE;
      if (out == BOTH) {
        ++tally.points;
        return out;
      }
    }
    return c.solvable ? solve(c, name, roots, out) : doubt(c, name, roots);
  }
  double measure = 0;  // how evenly the row that was examined last cuts the cell: less is better

  // A breakpoint that touches a cell is not looked for: neighbours are found from the facets.
  void touch(const Inequalities&, Index, Index, Index) {}

  // The function that cuts a cell, the centers of the two parts, the function at the known points.
  struct Prepared {
    double *function, *two, *known;
    double error, size, radius[2];
  };

  // Whether the cell has two parts, with centers found for both; else the one sign that the row takes.
  int prepare(Inequalities& c, Index, Index, Index, const Name& name, Prepared& out) {
    load_function(name);
    fresh_ = false;
    if (!centers(c)) {
      const Answer answer = ask(c, name, true);
      if (answer.signs != BOTH) return answer.signs;
      for (int side = 0; side < 2; ++side) {
        two_[side] = side ? answer.above : answer.below;
        prove_depth(c, side);
      }
    }
    double* numbers = state.arena.take<double>(3 * d_ + 1 + points());
    out = {numbers, numbers + d_ + 1, numbers + 3 * d_ + 1, error_, size_, {radius_[0], radius_[1]}};
    if (!fresh_) pool_values(c);
    std::copy_n(value_.begin(), c.n_pool, out.known);
    std::copy(f_.begin(), f_.end(), out.function);
    for (int side = 0; side < 2; ++side) std::copy(two_[side].begin(), two_[side].end(), out.two + side * d_);
    return BOTH;
  }

  // The part of the cell on one side of the row that was prepared: 0 below, 1 above. The cell itself stays.
  Inequalities part(const Inequalities& c, Index u, Index below, Index above, const Name& name, const Prepared& both,
                    int side) {
    std::copy_n(both.function, d_ + 1, f_.begin());
    error_ = both.error;
    size_ = both.size;
    Inequalities p = copy(c);
    const Index m = c.dictionary.m;
    const Index number = name.b == -2 ? -state.net.n_pieces[u] - 1 : u;
    p.facets[m] = add_facet(number, below, above, name, side ? -1 : 1);
    add_row(m, side ? -1 : 1);
    std::copy_n(both.two + side * d_, d_, p.center);
    p.radius = both.radius[side];
    p.centered = floats_ && p.radius > 0;
    if (p.centered) {
      follow(p, side, both.known);
    } else {
      ++tally.uncentered;
      p.n_pool = 0;
    }
    if (p.solvable) {
      load_objective(p.dictionary, f_.data(), side ? 1 : -1, weight_.data());
      if (!extend(p.dictionary, effort)) p.solvable = rebuild(p, m + 1);
    }
    p.dictionary.m = m + 1;
    return p;
  }

  // Which member of a maximum wins is found by splitting.
  Index winner(const Inequalities&, Index) { return -1; }
  std::optional<Index> cells(const Inequalities&, const Item*, Index, Watch&) { return {}; }

  std::optional<Index> cells_below(const Inequalities&, Index, const Item*, Index, Watch&) { return {}; }

  void push(const Index* units, Index n, Index layer) { state.maps.push(units, n, layer); }
  static constexpr Index PERIOD = 1;
  const Free* look_ahead(const Inequalities&, Index, const Item*, Index, const Free* free) { return free; }
  Index count_reduced(const Inequalities&, Index, const Item*, Index, const Free*) { return -1; }

  // List the units of a layer that have more than one piece.
  void enter(const Inequalities&, Index layer, const Free*, Item* items, Index& n_items, Index* settled,
             Index& n_settled) {
    const Network& net = state.net;
    for (Index u = net.unit_begin[layer]; u < net.unit_begin[layer + 1]; ++u) {
      if (net.n_pieces[u] == 1) {
        state.decide(u, 0);
        settled[n_settled++] = u;
      } else {
        items[n_items++] = {u, 0, std::int32_t(net.n_pieces[u] - 1), 0};
      }
    }
  }

  // Facets: what can carry one, in order and once.
  void emit(const Inequalities& c) {
    write_pattern(state);
    std::copy_n(c.center, d_, state.sink->points.extend(d_));
    state.sink->doubtful.push(!c.centered);
    carriers_.assign(root_.faces.begin(), root_.faces.end());
    for (Index i = 0; i < c.dictionary.m; ++i) {
      const Index u = state.facets[c.facets[i]].unit;
      carriers_.push_back(std::int32_t(u >= 0 ? state.net.place[u] : u));
    }
    std::sort(carriers_.begin(), carriers_.end());
    const auto end = std::unique(carriers_.begin(), carriers_.end());
    const Index n = end - carriers_.begin();
    std::copy_n(carriers_.begin(), n, state.sink->facet_unit.extend(n));
    state.sink->n_facets.push(std::int32_t(n));
  }

 private:
  Index points() const { return padded(2 * d_ + 16); }
  double* row(Index t) { return rows_.data() + t * room_; }

  Dictionary blank(Index m) {
    Dictionary D{};
    D.d = d_;
    D.stride = padded(m + 2);
    double* numbers = state.arena.take<double>((d_ + 4) * D.stride);
    D.T = numbers + 4 * D.stride;
    D.scratch = numbers;
    D.beta = numbers + D.stride;
    D.floor = numbers + 2 * D.stride;
    D.ceiling = numbers + 3 * D.stride;
    D.basic = state.arena.take<Index>(D.stride);
    D.nonbasic = state.arena.take<Index>(d_);
    D.upper = state.arena.take<Index>(d_);
    D.low = low_.data();
    D.high = high_.data();
    return D;
  }

  // The same cell with room for one more row.
  Inequalities copy(const Inequalities& c) {
    Inequalities p = c;
    const Dictionary& from = c.dictionary;
    const Index m = from.m;
    p.dictionary = blank(m + 1);
    p.dictionary.m = m;
    copy_columns(from, p.dictionary);
    std::copy_n(from.basic, m, p.dictionary.basic);
    std::copy_n(from.nonbasic, d_, p.dictionary.nonbasic);
    std::copy_n(from.upper, d_, p.dictionary.upper);
    p.facets = state.arena.take<Index>(m + 1);
    std::copy_n(c.facets, m, p.facets);
    p.center = state.arena.take<double>(d_);
    std::copy_n(c.center, d_, p.center);
    p.pool = state.arena.take<double>(d_ * points());
    std::copy_n(c.pool, d_ * points(), p.pool);
    return p;
  }

  static void clear(const Dictionary& D) { std::fill_n(D.scratch, (D.d + 4) * D.stride, 0.0); }

  static void copy_columns(const Dictionary& from, const Dictionary& to) {
    const Index m = from.m;
    for (Index k = -3; k < from.d; ++k) {  // with values and bounds, which lie in front
      std::copy_n(from.column(k), m, to.column(k));
      std::fill(to.column(k) + m, to.column(k) + to.stride, 0.0);
    }
  }

  Index add_facet(Index unit, Index below, Index above, const Name& name, int sign = 1) {
    const Name roots = name.b == -2 ? Name{-2, -2, 0} : named(state, name);
    Facet facet{unit, below, above, name, roots.a, roots.b, {}};
    facet.row.g[0] = sign;  // the side that was kept
    state.facets.push_back(facet);
    return Index(state.facets.size()) - 1;
  }

  void add_row(Index m, double sign) {
    for (Index t = 0; t <= d_; ++t) row(t)[m] = sign * f_[t];
    row(d_ + 1)[m] = error_;
    row(d_ + 2)[m] = size_;
  }

  // Whether the gradient of the row that was loaded last is zero in floats.
  bool is_constant() const {
    return std::all_of(g_.g.begin(), g_.g.begin() + d_, [](double x) { return x == 0; });
  }

  // A row of the network into f, scaled to length 1; false if its gradient is zero in floats, or too long for them.
  bool load_function(const Name& name) {
    load_row(state, name, g_);
    double top = 0;
    for (Index t = 0; t < d_; ++t) top = std::max(top, std::fabs(g_.g[t]));
    if (!(top > 0) || !(top < 1e300) || !(g_.fixed < 1e300)) {
      std::fill(f_.begin(), f_.end(), 0.0);
      error_ = 1e300;  // proves nothing
      size_ = 0;
      return false;
    }
    const double power = std::ldexp(1.0, -std::clamp(std::ilogb(top), -1000, 1000));
    double total = 0;
    for (Index t = 0; t < d_; ++t) total += (g_.g[t] * power) * (g_.g[t] * power);
    const double inverse = 1 / std::sqrt(total);
    for (Index t = 0; t <= d_; ++t) f_[t] = g_.g[t] * power * inverse;
    size_ = g_.size * power * inverse * 1.0001;
    error_ = g_.fixed * power * inverse * 1.0001 + 8 * U * size_ + LOST_IN_UNIT_ROWS;
    return true;
  }

  // The function at a point.
  double at(const double* x) const {
    double y = f_[d_];
    for (Index t = 0; t < d_; ++t) y += f_[t] * x[t];
    return y;
  }

  Extent pool_values(const Inequalities& c) {
    std::fill_n(constant_.begin(), c.n_pool, f_[d_]);
    fresh_ = true;
    return plane_values(value_.data(), c.pool, points(), constant_.data(), f_.data(), d_, c.n_pool);
  }

  // How deep a point lies in the cell, all rounding errors counted; not positive: not proved inside.
  double depth(const Inequalities& c, const double* x) {
    const Index m = c.dictionary.m;
    double least = 1e300;
    for (Index t = 0; t < d_; ++t) {
      const double margin = 8 * U * state.net.reach[t] + LOST_IN_UNIT_ROWS;
      least = std::min(least, std::min(x[t] - low_[t], high_[t] - x[t]) - margin);
    }
    for (Index i = 0; i < m; ++i) constant_[i] = row(d_)[i] + row(d_ + 1)[i] + LOST_IN_UNIT_ROWS;
    return std::min(least, -plane_values(below_.data(), rows_.data(), room_, constant_.data(), x, d_, m).high);
  }

  // Keep a point of the cell; the oldest ones make room.
  void know(Inequalities& c, const double* x) {
    fresh_ = false;
    Index i = c.n_pool;
    if (i == points()) {
      i = c.oldest;
      c.oldest = i + 1 < points() ? i + 1 : 0;
    } else {
      ++c.n_pool;
    }
    for (Index t = 0; t < d_; ++t) c.pool[t * points() + i] = std::min(std::max(x[t], low_[t]), high_[t]);
  }

  // Whether the dictionary's multipliers prove sign * f negative all over the cell.
  bool proved_negative(const Inequalities& c, double sign) {
    const Dictionary& D = c.dictionary;
    const Index m = D.m;
    std::fill_n(weight_.begin(), padded(m), 0.0);
    double error = error_, size = size_;
    for (Index k = 0; k < d_; ++k) {
      const Index v = D.nonbasic[k];
      const double y = -D.column(k)[m];
      if (v < d_ || !(y > 0)) continue;
      weight_[v - d_] = y;
      error += y * row(d_ + 1)[v - d_];
      size += y * row(d_ + 2)[v - d_];
    }
    double* sum = weight_.data() + padded(m);
    dot_products(sum, rows_.data(), room_, weight_.data(), d_ + 1, m);
    double bound = sign * f_[d_] - sum[d_];
    for (Index t = 0; t < d_; ++t) {
      const double x = sign * f_[t] - sum[t];
      bound += std::max(x * low_[t], x * high_[t]);
      size += 8 * std::fabs(x) * state.net.reach[t];
    }
    return bound + 1.0001 * error + double(2 * d_ + m + 16) * U * size + LOST_IN_UNIT_ROWS < 0;
  }

  // Look for the missing signs by linear programs.
  int solve(Inequalities& c, const Name& name, const Name& roots, int out) {
    for (const auto& [bit, sign] : {std::pair{POSITIVE, 1.0}, std::pair{NEGATIVE, -1.0}}) {
      if (out & bit) continue;
      const Index before = effort.pivots;
      load_objective(c.dictionary, f_.data(), sign, weight_.data());
      const Climb climb = maximise(c.dictionary, 1e3 * error_, effort);
      if (effort.pivots > before) ++tally.programs;
      if (c.dictionary.beta[c.dictionary.m] > 2 * error_) {
        vertex(c.dictionary, x_.data());
        know(c, x_.data());
        out |= bit;
      } else if (climb == Climb::OPTIMAL && proved_negative(c, sign)) {
        ++(effort.pivots > before ? tally.multipliers : tally.bare);
      } else {
        return doubt(c, name, roots);
      }
    }
    return !c.centered && out == BOTH ? ask(c, name, false).signs : out;
  }

  // The sign that the center proves the function to take, or none.
  int center_sign(const Inequalities& c) const {
    if (!c.centered) return NONE;
    const double x = at(c.center);
    return x > error_ ? POSITIVE : x < -error_ ? NEGATIVE : NONE;
  }

  // What floats cannot tell: a row of the cell has one sign, the center's; else ask.
  int doubt(Inequalities& c, const Name& name, const Name& roots) {
    const int sign = center_sign(c);
    if (sign && name.b != -2)
      for (Index i = 0; i < c.dictionary.m; ++i)
        if (same_row(state.facets[c.facets[i]], roots)) return sign;
    return ask(c, name, false).signs;
  }

  Answer ask(Inequalities& c, const Name& name, bool both) {
    ++tally.exact;
    std::vector<std::pair<int, Name>> rows;
    for (Index i = 0; i < c.dictionary.m; ++i) {
      const Facet& facet = state.facets[c.facets[i]];
      rows.push_back({int(facet.row.g[0]), facet.name});
    }
    std::vector<Index> tight;  // a row of the box: 2 t below, 2 t + 1 above, behind the others
    for (Index k = 0; k < d_; ++k) {
      const Index v = c.dictionary.nonbasic[k];
      tight.push_back(v >= d_ ? v - d_ : c.dictionary.m + 2 * v + c.dictionary.upper[k]);
    }
    return exact_.signs(rows, tight, {name, both, center_sign(c)}, state.maps);
  }

  // The mean of the known points where sign * f is positive, into x; false if there are none.
  bool mean_beyond(const Inequalities& c, double sign) {
    const Index n = padded(c.n_pool);
    double count = 0;
    for (Index i = 0; i < n; ++i) {
      weight_[i] = i < c.n_pool && sign * value_[i] > error_;
      count += weight_[i];
    }
    if (count == 0) return false;
    dot_products(x_.data(), c.pool, points(), weight_.data(), d_, n);
    for (Index t = 0; t < d_; ++t) x_[t] /= count;
    return true;
  }

  // A point in one part into x: the mean of known points, one of the ball, a vertex; or none.
  bool aim(Inequalities& c, int side, double at_center) {
    const double sign = side ? 1 : -1;
    if (mean_beyond(c, sign)) return true;
    if (c.radius > std::fabs(at_center)) {
      for (Index t = 0; t < d_; ++t) x_[t] = c.center[t] + sign * f_[t] * 0.5 * (c.radius + std::fabs(at_center));
      return true;
    }
    if (!c.solvable) return false;
    load_objective(c.dictionary, f_.data(), sign, weight_.data());
    maximise(c.dictionary, 1e300, effort);
    vertex(c.dictionary, x_.data());
    know(c, x_.data());
    return c.dictionary.beta[c.dictionary.m] > error_;
  }

  // By how much a point exceeds the rows of the cell, and the box's behind them.
  void exceed(const Inequalities& c, const double* x, std::vector<double>& s) {
    const Index m = c.dictionary.m;
    plane_values(s.data(), rows_.data(), room_, row(d_), x, d_, m);
    for (Index t = 0; t < d_; ++t) {
      s[m + t] = low_[t] - x[t];
      s[m + d_ + t] = x[t] - high_[t];
    }
  }

  // A center for one part, on the way from the center, whose excess is known, to x.
  void find_center(const Inequalities& c, int side, double at_center) {
    constexpr int SHARES = 4;
    const double sign = side ? 1 : -1, f0 = sign * at_center, f1 = sign * at(x_.data());
    exceed(c, x_.data(), slack1_);
    const double first = f0 < 0 && f1 > f0 ? -f0 / (f1 - f0) : 0;
    double best = -1e300, where = 0;
    for (int i = 0; i <= SHARES; ++i) {
      const double share = first + (1 - first) * i / SHARES;
      const double beyond = greatest_between(slack_.data(), slack1_.data(), share, c.dictionary.m + 2 * d_);
      const double deep = std::min(-beyond, f0 + share * (f1 - f0));
      if (deep > best) best = deep, where = share;
    }
    for (Index t = 0; t < d_; ++t) two_[side][t] = c.center[t] + where * (x_[t] - c.center[t]);
    prove_depth(c, side);
  }

  // How deep the center of a part lies in it, proved; not positive: not proved inside.
  void prove_depth(const Inequalities& c, int side) {
    const double* x = two_[side].data();
    radius_[side] = std::min(depth(c, x), (side ? 1 : -1) * at(x) - error_);
  }

  // Centers of the two parts; whether both are proved inside: the function takes both signs.
  bool centers(Inequalities& c) {
    radius_[0] = radius_[1] = -1;
    if (!c.centered) return false;
    const double at_center = at(c.center);
    pool_values(c);
    exceed(c, c.center, slack_);
    for (int side = 0; side < 2; ++side) {
      if (aim(c, side, at_center)) {
        find_center(c, side, at_center);
      } else if ((at_center > 0) == (side == 1)) {
        std::copy_n(c.center, d_, two_[side].begin());
        prove_depth(c, side);
      }
      if (!(radius_[side] > 0)) return false;
    }
    ++tally.centers;
    return true;
  }

  // Known points of the part: for those beyond f, where the way from its center to them leaves it.
  void follow(Inequalities& c, int side, const double* value) {
    const double sign = side ? -1 : 1, inner = sign * at(c.center);
    for (Index i = 0; i < c.n_pool; ++i) {
      const double y = sign * value[i];
      if (y < 0 || !(inner < 0)) continue;
      const double share = inner / (inner - y);
      for (Index t = 0; t < d_; ++t) {
        double& p = c.pool[t * points() + i];
        p = c.center[t] + share * (p - c.center[t]);
      }
    }
  }

  // The dictionary made again from the first m rows, without the rounding errors of many pivots.
  bool rebuild(Inequalities& c, Index m) {
    Dictionary& D = c.dictionary;
    for (Index t = 0; t < d_; ++t) D.nonbasic[t] = t, D.upper[t] = 0;
    D.m = 0;
    clear(D);
    std::vector<double> f(d_ + 1);
    for (Index i = 0; i < m; ++i) {
      for (Index t = 0; t <= d_; ++t) f[t] = row(t)[i];
      load_objective(D, f.data(), -1, weight_.data());
      if (!extend(D, effort)) return false;
    }
    return true;
  }

  const bool floats_;
  ExactCells& exact_;
  const LpRoot& root_;
  const Index d_, room_;
  std::vector<double> rows_;  // planes: coefficients, constant, error, size; a cell's rows are the first m
  std::vector<double> low_, high_;
  LongRow g_;
  std::vector<double> f_;  // the function being decided, of unit length
  double error_ = 0, size_ = 0;
  bool fresh_ = false;  // whether value_ are those of f at the known points
  std::vector<double> x_, two_[2];
  double radius_[2] = {-1, -1};
  std::vector<double> value_, constant_, weight_, slack_, slack1_, below_;
  std::vector<std::int32_t> carriers_;
};

}  // namespace polytope
