// Cells by their vertices, as the search sees them: signs, parts, what is clear on entering a layer, output.
#pragma once
#include "arrangement.hpp"
#include "early.hpp"
#include "polygon.hpp"
#include "reduction.hpp"
#include "sought.hpp"

namespace polytope {

class VertexGeometry;

// Counts the regions in a cell in a network of its undecided units alone; -1 if a limit stopped that.
struct Reducer {
  virtual Index count(const VertexGeometry& geometry, const Cell& cell, const std::vector<Index>& units,
                      const std::vector<Index>& ends, Index layer) = 0;
  virtual ~Reducer() = default;
};

// Searches a cell in a network of its undecided units, in memory (undecided.hpp); nothing where that is no good.
struct OwnNetwork {
  virtual std::optional<Index> cells(const Cell& c, Index layer, const Item* items, Index n, Watch& watch) = 0;
  virtual ~OwnNetwork() = default;
};

class VertexGeometry {
 public:
  using Cell = polytope::Cell;
  static constexpr bool COUNTS_LAST_UNIT = false;  // the arrangement counts whole lists

  VertexGeometry(const Network& net, Sink& sink, Control& control, ExactSigns& exact, Reducer& reducer)
      : state(net, sink, control), exact_(exact), reducer_(reducer), arrangement_(make_arrangement(state)) {
    if (net.early) early_ = std::make_unique<Early>(state);
  }

  State state;
  Index n_left_out = 0;  // cells that cannot hold what is sought
  bool crowded = false;  // a vertex lies on more facets than its set has bits
  double measure = 0;    // how evenly the row that was examined last cuts the cell: less is better

  Index slow_answers() const { return state.n_exact; }  // from exact arithmetic

  int signs(const Cell& c, const Name& name) {
    const int out = evaluate(state, last_, exact_, c, name);
    measure = last_.balance + last_.asked;
    return out;
  }

  // The breakpoint that was examined last contains a facet of the cell, perhaps.
  void touch(const Cell& c, Index u, Index below, Index above) { note_touch(state, c, last_.value, u, below, above); }

  struct Prepared {
    Cell part[2];
  };

  // Both parts of the cell along a row that crosses it.
  int prepare(const Cell& c, Index u, Index below, Index above, const Name& name, Prepared& out) {
    const int found = evaluate(state, last_, exact_, c, name);
    if (found != BOTH) return found;
    const Network& net = state.net;
    const Index number = name.b == -2 ? -net.n_pieces[u] - 1 : u;
    const Name roots = name.b == -2 ? Name{-2, -2, 0} : named(state, name);
    state.facets.push_back({number, below, above, name, roots.a, roots.b, last_.row});
    const Index facet = Index(state.facets.size()) - 1;
    if (net.d == 2) {
      cut_polygon(net, state.facets, state.arena, c, last_.value.data(), facet, out.part);
      return BOTH;
    }
    crossing_edges(c, net.words, net.d, last_.value.data(), scratch_, edges_);
    if (cut_vertices(net, state.facets, state.arena, c, last_.value.data(), last_.bound.data(), edges_, facet,
                     out.part))
      return BOTH;
    crowded = true;
    state.control.stop = true;
    return NONE;
  }

  Cell part(const Cell&, Index, Index, Index, const Name&, const Prepared& both, int side) { return both.part[side]; }

  // Number of cells that the listed units of the last layer make of a cell, if that can be told without cutting.
  std::optional<Index> cells(const Cell& c, const Item* items, Index n, Watch& watch) {
    return arrangement_->cells(c, items, n, watch);
  }

  std::optional<Index> cells_below(const Cell& c, Index layer, const Item* items, Index n, Watch& watch) {
    return own ? own->cells(c, layer, items, n, watch) : std::nullopt;
  }
  std::unique_ptr<OwnNetwork> own;

  static constexpr Index UNSEEN = 2;  // splits between two looks for what is sought
  bool seeks() const { return sought != nullptr; }
  // Whether the cell can hold what is sought; the ends of rows become those on this cell.
  bool can_hold(const Cell& c, Index layer, const Item* undecided, Index n, const double*& ends) {
    double* found = state.arena.take<double>(2 * state.net.n_pre());
    const bool may = sought->any(c, layer, undecided, n, ends, found);
    ends = found;
    n_left_out += !may;
    return may;
  }
  Index most_influential(Index layer) const { return sought->most_influential(layer); }
  std::unique_ptr<Sought> sought;  // where not all regions are

  void emit(const Cell& c) { polytope::emit(state, c); }

  // What finds the weights between undecided units, made when it is first needed.
  Reduction& reduction() const {
    if (!reduction_) reduction_ = std::make_unique<Reduction>(state);
    return *reduction_;
  }

  // Tell later layers of units that were decided together.
  void push(const Index* units, Index n, Index layer) {
    if (early_)
      early_->push(units, n, layer);
    else
      state.maps.push(units, n, layer);
  }

  static constexpr Index PERIOD = 3;  // splits between two looks ahead
  const Free* look_ahead(const Cell& c, Index layer, const Item* undecided, Index n, const Free* old) {
    return early_->look_ahead(c, layer, undecided, n, old);
  }

  // The number of regions in a cell whose undecided units are few; -1 if a limit was reached.
  Index count_reduced(const Cell& c, Index layer, const Item* undecided, Index n, const Free* free) {
    std::vector<Index> units, ends(state.net.layers, 0);
    for (Index q = layer; q < state.net.layers; ++q) {
      for (Index i = 0; q == layer && i < n; ++i) units.push_back(undecided[i].unit);
      for (Index i = 0; q > layer && i < free[q].n; ++i) units.push_back(free[q].units[i]);
      ends[q] = Index(units.size());
    }
    return reducer_.count(*this, c, units, ends, layer);
  }

  // Decide the units of a layer that are clear on the cell, and list the others.
  void enter(const Cell& c, Index layer, const Free* free, Item* items, Index& n_items, Index* settled,
             Index& n_settled) {
    const Network& net = state.net;
    const Index u0 = net.unit_begin[layer], n = net.width(layer);
    if (net.early) {
      enter_free(c, layer, free, items, n_items, settled, n_settled);
      return;
    }
    bound_layer(c, layer);
    if (net.plain[layer]) {
      enter_plain(c, layer, items, n_items, settled, n_settled);
      return;
    }
    for (Index u = u0; u < u0 + n; ++u) {
      const Index s = net.kind[u] == PIECES ? clear_piece(c, u, layer) : clear_winner(c, u, layer);
      if (s >= 0) {
        state.decide(u, s);
        settled[n_settled++] = u;
      } else {
        items[n_items++] = {u, 0, std::int32_t(net.n_pieces[u] - 1), 0};
      }
    }
  }

  // See whether one member of a maximum clearly wins; -1 if not.
  Index winner(const Cell& c, Index u) {
    const Index d = state.net.d, n = state.net.n_pieces[u];
    const Index* members = state.net.members.data() + state.net.table[u];
    const auto value = [&](Index r) {
      double x = state.maps.at(d, r);
      for (Index t = 0; t < d; ++t) x += state.maps.at(t, r) * c.x[t * c.n];
      return x;
    };
    Index best = 0;
    for (Index i = 1; i < n; ++i)
      if (value(members[i]) > value(members[best])) best = i;
    for (Index i = 0; i < n; ++i)
      if (i != best && clear_sides(state, c, {members[best], members[i], 0}) != POSITIVE) return -1;
    return best;
  }

 private:
  // The same, looking only at the units that are still free.
  void enter_free(const Cell& c, Index layer, const Free* free, Item* items, Index& n_items, Index* settled,
                  Index& n_settled) {
    const Network& net = state.net;
    const Index n = free ? free[layer].n : net.width(layer);
    double middle[MOST_DIMENSIONS], half[MOST_DIMENSIONS];
    box_of(c, middle, half);
    for (Index i = 0; i < n; ++i) {
      const Index u = free ? free[layer].units[i] : net.unit_begin[layer] + i;
      Index s;
      if (net.kind[u] == PIECES) {
        for (s = 0; s < net.n_pieces[u] - 1; ++s) {
          const int sides = clear_sides(state, c, {net.source[u], -1, net.breakpoint[net.table[u] + s]});
          if (sides == POSITIVE) continue;
          if (sides != NEGATIVE) s = -1;
          break;
        }
      } else {
        bound_members(u, layer, middle, half);
        s = clear_winner(c, u, layer);
      }
      if (s >= 0) {
        state.decide(u, s);
        settled[n_settled++] = u;
      } else {
        items[n_items++] = {u, 0, std::int32_t(net.n_pieces[u] - 1), 0};
      }
    }
  }

  // Values of the members of a maximum at the middle of the cell's box, and how far they can be off.
  void bound_members(Index u, Index layer, const double* middle, const double* half) {
    const Index d = state.net.d, r0 = state.net.pre_begin[layer], n = state.net.pre_begin[layer + 1] - r0;
    if (Index(middle_.size()) < n) middle_.resize(n + 8), off_.resize(n + 8);
    for (Index i = 0; i < state.net.n_pieces[u]; ++i) {
      const Index r = state.net.members[state.net.table[u] + i];
      double x = state.maps.at(d, r);
      double e = 1.0001 * state.maps.at(d + 1, r) + double(d + 4) * U * std::fabs(x) + state.net.lost;
      for (Index t = 0; t < d; ++t) {
        x += state.maps.at(t, r) * middle[t];
        e += std::fabs(state.maps.at(t, r)) * half[t];
      }
      middle_[r - r0] = x;
      off_[r - r0] = e;
    }
  }

  // The middle of the cell's bounding box and its half widths, errors of vertices and of evaluations included.
  void box_of(const Cell& c, double* middle, double* half) const {
    const Index d = state.net.d, k = c.n;
    const double rounding = double(d + 4) * U;
    double error = 0;
    for (Index i = 0; i < k; ++i) error = std::max(error, c.x[d * k + i]);
    for (Index t = 0; t < d; ++t) {
      const auto [low, high] = std::minmax_element(c.x + t * k, c.x + (t + 1) * k);
      middle[t] = 0.5 * (*low + *high);
      half[t] = 0.5 * (*high - *low) * 1.0001 + error + (4 * U + rounding) * state.net.reach[t];
    }
  }

  // For every pre-activation: its value at the middle of the cell's box, and by how much it can be off.
  void bound_layer(const Cell& cell, Index layer) {
    const Index d = state.net.d, r0 = state.net.pre_begin[layer], n = state.net.pre_begin[layer + 1] - r0;
    double middle[MOST_DIMENSIONS], half[MOST_DIMENSIONS];
    const double* planes[MOST_DIMENSIONS];
    box_of(cell, middle, half);
    for (Index t = 0; t < d; ++t) planes[t] = state.maps.plane(t) + r0;
    if (Index(middle_.size()) < n) middle_.resize(n + 8), off_.resize(n + 8);
    bound_rows(middle_.data(), off_.data(), planes, middle, half, state.maps.plane(d) + r0,
               state.maps.plane(d + 1) + r0, double(d + 4) * U, state.net.lost, d, n);
  }

  // The same for a layer of units with one breakpoint at one place.
  void enter_plain(const Cell& cell, Index layer, Item* items, Index& n_items, Index* settled, Index& n_settled) {
    const Index u0 = state.net.unit_begin[layer], n = state.net.width(layer), r0 = state.net.pre_begin[layer];
    const Index table = state.net.table[u0], place = state.net.place[u0];
    const double at = state.net.breakpoint[table];
    const bool off = state.net.slope[table] == 0 && state.net.intercept[table] == 0;
    const bool keeps = state.sink->keeps(), silent = !keeps && layer + 1 == state.net.layers;
    Index* piece = state.maps.piece.data() + u0;
    const Index words = (n + 63) / 64;
    Bits *above = state.arena.take<Bits>(words), *below = state.arena.take<Bits>(words);
    clear_of(above, below, middle_.data(), off_.data(), at, n);
    if (!silent) {
      for (Index j = 0; j < n; ++j) piece[j] = above[j >> 6] >> (j & 63) & 1;
      for_bits(
          words, [&](Index w) { return off ? above[w] : above[w] | below[w]; },
          [&](Index j) { settled[n_settled++] = u0 + j; });
    }
    if (keeps) {
      const std::int8_t low = state.net.label[table], high = state.net.label[table + 1];
      Bits code = 0;
      for (Index j = 0; j < n; ++j) state.label[place + j] = piece[j] ? high : low;
      for_bits(words, [&](Index w) { return above[w]; }, [&](Index j) { code += state.net.code(u0 + j, 1); });
      state.hash += code;
    }
    const auto unclear = [&](Index w) { return ~(above[w] | below[w]) & first_bits(n - 64 * w); };
    for_bits(words, unclear, [&](Index j) {
      const int sides = clear_sides(state, cell, {r0 + j, -1, at});
      if (sides != POSITIVE && sides != NEGATIVE) {
        items[n_items++] = {u0 + j, 0, 1, 0};
        return;
      }
      const Index s = sides == POSITIVE;
      state.decide(u0 + j, s);
      if (s || !off) settled[n_settled++] = u0 + j;
    });
  }

  // The piece that a unit clearly is on, or -1.
  Index clear_piece(const Cell& cell, Index u, Index layer) {
    const Index n = state.net.n_pieces[u], r = state.net.source[u], r0 = state.net.pre_begin[layer];
    Index s = 0;
    while (s < n - 1) {
      const double gap = middle_[r - r0] - state.net.breakpoint[state.net.table[u] + s], off = off_[r - r0];
      if (gap < -off) break;
      if (!(gap > off)) {
        const int sides = clear_sides(state, cell, {r, -1, state.net.breakpoint[state.net.table[u] + s]});
        if (sides == NEGATIVE) break;
        if (sides != POSITIVE) return -1;
      }
      ++s;
    }
    return s;
  }

  // The member of a maximum that clearly wins, or -1; members that are the same function are ties everywhere.
  Index clear_winner(const Cell& cell, Index u, Index layer) {
    const Index n = state.net.n_pieces[u], r0 = state.net.pre_begin[layer];
    const Index* members = state.net.members.data() + state.net.table[u];
    const auto root = [&](Index i) { return root_of(state.net, state.maps, members[i]); };
    Index best = 0;
    for (Index i = 1; i < n; ++i)
      if (middle_[members[i] - r0] > middle_[members[best] - r0]) best = i;
    const Index a = members[best], winner = root(best);
    for (Index i = 0; i < n; ++i) {
      if (i == best) continue;
      if (root(i) == winner) {
        if (i < best) return -1;
        continue;
      }
      const Index b = members[i];
      if (middle_[a - r0] - middle_[b - r0] > off_[a - r0] + off_[b - r0]) continue;
      if (clear_sides(state, cell, {a, b, 0}) != POSITIVE) return -1;
    }
    if (state.sink->keeps())
      for (Index i = 0; i < n; ++i)
        if (i != best && root(i) == winner) state.hash += state.net.code_across(u, i);
    return best;
  }

  ExactSigns& exact_;
  Reducer& reducer_;
  std::unique_ptr<Arrangement> arrangement_;
  std::unique_ptr<Early> early_;
  mutable std::unique_ptr<Reduction> reduction_;
  Evaluation last_;
  std::vector<double> middle_, off_;  // of a layer: values at the middle of the cell's box, and how far they can be off
  std::vector<Edge> edges_;
  std::vector<Index> scratch_;
};

}  // namespace polytope
