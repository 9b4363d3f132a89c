// The cells that the breakpoints of the last layer make of one cell, counted or listed without cutting it.
//
// Hyperplanes H_1, .., H_n that cross a convex cell P make as many cells of it as there are sets S of them with
// P n (intersection of H_i, i in S) not empty, S = {} included (deletion and restriction; in general position).
// These flats are visited depth first, each once, as sections of the one before. A vertex on the rows S lies on
// the 2^|S| cells around it, so the vertices of all flats list the cells with their facets and interior points.
// Only clear signs are used: at the first doubtful one nothing is done, and the search splits the cell instead.
#pragma once
#include <optional>

#include "emit.hpp"
#include "search.hpp"

namespace polytope {

class Arrangement {
 public:
  static constexpr Index MOST = 12;  // rows in a list of cells, which has a place for each choice of sides

  explicit Arrangement(State& s) : s_(s), d_(s.net.d), number_(Index(1) << MOST, -1) {}

  // Number of cells that the units make of the cell, handed in if cells are wanted; nothing if that is in doubt.
  std::optional<Index> cells(const Cell& cell, const Item* items, Index m, Watch& watch) {
    const bool keep = s_.sink->keeps();
    if (m == 0) return keep ? std::nullopt : std::optional<Index>(1);
    if ((d_ != 2 && s_.net.words != 1) || (d_ == 2 && cell.n > 62)) return {};
    if (keep && (s_.sink->keep != CELLS || !cell.simple)) return {};
    const Arena::Mark mark = s_.arena.mark();
    const std::optional<Index> n = in_memory(cell, items, m, keep, watch);
    s_.arena.release(mark);
    return n;
  }

 private:
  struct Flat {
    Cell cell;            // its vertices, each with the facets of the first cell that it lies on
    Index* rows;          // that cross it, by number
    double* values;       // of these rows at the vertices, row after row
    Index n_rows, early;  // how many; how many of them come before its own
    Bits members, sides;  // its own rows; the sides of the rows that do not cross it
    Edge* edges;
    Index n_edges;
  };
  struct Listed {  // a cell: sides, rows and facets it touches, the sum of its vertices and their number
    Bits sides, rows, facets;
    double sum[MOST_DIMENSIONS + 1];
  };
  static constexpr Index DOUBT = -1;

  static Bits bit_of(Index row) { return Bits(1) << (row & 63); }  // read only of at most MOST rows

  std::optional<Index> in_memory(const Cell& cell, const Item* items, Index m, bool keep, Watch& watch) {
    cells_.clear();
    Flat first{};
    Index total = open(cell, items, m, keep, first) ? visit_all(first, keep, watch) : DOUBT;
    if (total > 0 && watch.too_many(total)) total = DOUBT;
    if (keep && total > 0) list(first);
    for (const Listed& c : cells_) number_[c.sides] = -1;
    return total < 0 ? std::nullopt : std::optional<Index>(total);
  }

  const double* at(const Flat& f, Index i) const { return f.values + i * f.cell.n; }

  enum Side { MIXED, BELOW, ABOVE, UNCLEAR };

  // On which side of a row the vertices are; writes padded(n) values.
  Side side_of(const Row& row, const Cell& c, double* value) {
    bound_.resize(std::max<std::size_t>(bound_.size(), padded(c.n)));
    const Values at = values_at(c, row, d_, s_.margin, value, bound_.data());
    if (!at.clear && !all_clear(value, c.n)) return UNCLEAR;
    return at.high <= 0 ? BELOW : at.low >= 0 ? ABOVE : MIXED;
  }

  // Whether all values exceed their bounds; keeps the least ratio.
  bool all_clear(const double* value, Index n) {
    for (Index i = 0; i < n; ++i) {
      const double x = std::fabs(value[i]), b = bound_[i];
      if (x > s_.margin * b) continue;
      if (!(x > b)) return false;
      s_.margin = x / b;
    }
    return true;
  }

  // The cell as the first flat; the units whose rows cross it are numbered, the others have one side.
  bool open(const Cell& cell, const Item* items, Index m, bool keep, Flat& f) {
    const Network& net = s_.net;
    rows_.clear();
    units_.clear();
    fixed_.clear();
    f.cell = cell;
    f.values = s_.arena.take<double>(m * cell.n + BLOCK);
    for (Index i = 0; i < m; ++i) {
      const Index u = items[i].unit;
      if (net.kind[u] != PIECES || net.n_pieces[u] != 2) return false;
      rows_.emplace_back();
      load_row(s_, {net.source[u], -1, net.breakpoint[net.table[u]]}, rows_.back());
      const Side side = side_of(rows_.back(), cell, f.values + Index(units_.size()) * cell.n);
      if (side == UNCLEAR) return false;
      if (side != MIXED) {
        rows_.pop_back();
        fixed_.push_back({u, side == ABOVE});
        continue;
      }
      if (keep && (Index(units_.size()) == MOST || net.place[u] < 0)) return false;
      units_.push_back(u);
    }
    const Index n = Index(units_.size());
    if (keep && n == 0) return false;
    f.rows = s_.arena.take<Index>(n);
    for (Index i = 0; i < n; ++i) f.rows[i] = i;
    f.n_rows = f.early = n;
    if (d_ == 2) {  // a vertex of a polygon lies on the edges after and before it
      f.cell.sets = s_.arena.take<Bits>(cell.n);
      for (Index a = 0; a < cell.n; ++a) f.cell.sets[a] = Bits(1) << a | Bits(1) << (a > 0 ? a - 1 : cell.n - 1);
    }
    return true;
  }

  Index visit_all(Flat& f, bool keep, Watch& watch) {
    if (d_ == 1) {
      const Index n = segment(f, f.cell, -1, f.early, keep);
      return n < 0 ? n : n + 1;
    }
    if (keep) book(f);
    if (f.early == 0) return 1;
    add_edges(f, d_);
    const Index n = visit(f, d_, keep, watch);
    return n < 0 ? n : n + 1;
  }

  void add_edges(Flat& f, Index dim) {
    const Cell& c = f.cell;
    edges_.clear();
    for (Index a = 1; a < c.n; ++a)
      for (Index b = 0; b < a; ++b)
        if (c.simple ? all_but_one(c.sets[a], c.sets[b]) : is_edge(c, 1, dim, a, b)) edges_.push_back({a, b});
    f.n_edges = Index(edges_.size());
    f.edges = s_.arena.take<Edge>(f.n_edges);
    std::copy(edges_.begin(), edges_.end(), f.edges);
  }

  // Number of flats inside flat f of some dimension, itself left out, or DOUBT, also where the search is to stop.
  Index visit(const Flat& f, Index dim, bool keep, Watch& watch) {
    Index total = 0;
    for (Index i = 0; i < f.early; ++i) {
      if (!watch.go_on()) return DOUBT;
      const Arena::Mark mark = s_.arena.mark();
      const Index n = visit_section(f, i, dim, keep, watch);
      s_.arena.release(mark);
      if (n < 0 || watch.too_many(total += n)) return DOUBT;
    }
    return total;
  }

  Index visit_section(const Flat& f, Index i, Index dim, bool keep, Watch& watch) {
    if (!keep && i == 0) return 1;  // no other row is to be counted in it
    const Index own = f.rows[i];
    const Cell c = section(f, i);
    if (dim == 2) {
      const Index n = segment(f, c, own, i, keep);
      return n < 0 ? n : n + 1;
    }
    Flat g{};
    if (!open_flat(f, c, own, i, keep, g)) return DOUBT;
    if (keep) book(g);
    if (!g.early) return 1;
    add_edges(g, dim - 1);
    const Index n = visit(g, dim - 1, keep, watch);
    return n < 0 ? n : n + 1;
  }

  // The section of a flat by its i-th row.
  Cell section(const Flat& f, Index i) {
    const double* v = at(f, i);
    const Row& row = rows_[f.rows[i]];
    const Cell& c = f.cell;
    Index n = 0;
    for (Index e = 0; e < f.n_edges; ++e) n += (v[f.edges[e].below] > 0) != (v[f.edges[e].above] > 0);
    Cell out{n, s_.arena.take<double>((d_ + 1) * n), s_.arena.take<Bits>(n), nullptr, c.simple};
    const auto bound = [&](Index a) { return row.fixed + row.per_error * c.x[d_ * c.n + a]; };
    const double farthest = s_.net.farthest();
    Index y = 0;
    for (Index e = 0; e < f.n_edges; ++e) {
      const auto [a, b] = f.edges[e];
      if ((v[a] > 0) == (v[b] > 0)) continue;
      edge_point(c, d_, f.edges[e], v[a], v[b], bound(a), bound(b), farthest, out.x, n, y);
      out.sets[y++] = c.sets[a] & c.sets[b];
    }
    return out;
  }

  bool open_flat(const Flat& f, const Cell& c, Index own, Index early, bool keep, Flat& g) {
    const Index n_rows = keep ? f.n_rows : early;
    g.cell = c;
    g.rows = s_.arena.take<Index>(n_rows);
    g.values = s_.arena.take<double>(n_rows * c.n + BLOCK);
    g.members = f.members | bit_of(own);
    g.sides = f.sides;
    for (Index i = 0; i < n_rows; ++i) {
      const Index j = f.rows[i];
      if (j == own) continue;
      const Side side = side_of(rows_[j], c, g.values + g.n_rows * c.n);
      if (side == UNCLEAR) return false;
      if (side == MIXED) {
        g.rows[g.n_rows++] = j;
        g.early += i < early;
      } else if (side == ABOVE) {
        g.sides |= bit_of(j);
      }
    }
    return true;
  }

  // Number of a segment's points on rows before its own, or DOUBT.
  Index segment(const Flat& f, const Cell& c, Index own, Index early, bool keep) {
    if (c.n != 2) return DOUBT;
    const Index n_rows = keep ? f.n_rows : early;
    const Bits members = f.members | (own >= 0 ? bit_of(own) : 0);
    Bits sides = f.sides, ends = 0, crossing = 0;
    double* where = s_.arena.take<double>(n_rows);
    double* error = s_.arena.take<double>(n_rows);
    Index* row = s_.arena.take<Index>(n_rows);
    Index n = 0, n_early = 0;
    double margin = s_.margin;
    for (Index i = 0; i < n_rows; ++i) {
      const Index j = f.rows[i];
      if (j == own) continue;
      const Row& r = rows_[j];
      double a = r.g[d_], b = a;
      for (Index t = 0; t < d_; ++t) {
        a += r.g[t] * c.x[2 * t];
        b += r.g[t] * c.x[2 * t + 1];
      }
      const double ta = r.fixed + r.per_error * c.x[2 * d_], tb = r.fixed + r.per_error * c.x[2 * d_ + 1];
      const double va = std::fabs(a), vb = std::fabs(b);
      if (!(va > margin * ta) || !(vb > margin * tb)) {
        if (!(va > ta) || !(vb > tb)) return DOUBT;
        margin = std::min(va / ta, vb / tb);
      }
      const Bits bit = bit_of(j);
      if ((a > 0) == (b > 0)) {
        if (a > 0) sides |= bit;
        continue;
      }
      where[n] = va / (va + vb);
      error[n] = 1.001 * (ta + tb) / (va + vb - ta - tb) + 8 * U;
      row[n++] = j;
      crossing |= bit;
      if (a > 0) ends |= bit;
      n_early += i < early;
    }
    for (Index i = 1; i < n; ++i)
      for (Index j = 0; j < i; ++j) {
        const double gap = std::fabs(where[i] - where[j]), tolerance = error[i] + error[j];
        if (gap > margin * tolerance) continue;
        if (!(gap > tolerance)) return DOUBT;
        margin = gap / tolerance;
      }
    s_.margin = margin;
    if (!keep) return n_early;
    double p[MOST_DIMENSIONS];
    for (Index end = 0; end < 2; ++end) {
      for (Index t = 0; t < d_; ++t) p[t] = c.x[2 * t + end];
      book_vertex(p, sides | (end ? crossing & ~ends : ends), members, c.sets[end]);
    }
    for (Index i = 0; i < n_early; ++i) {
      Bits there = sides;
      for (Index j = 0; j < n; ++j) {
        const Bits bit = bit_of(row[j]);
        if (((ends & bit) != 0) == (where[j] > where[i])) there |= bit;
      }
      for (Index t = 0; t < d_; ++t) p[t] = c.x[2 * t] + where[i] * (c.x[2 * t + 1] - c.x[2 * t]);
      book_vertex(p, there, members | bit_of(row[i]), c.sets[0] & c.sets[1]);
    }
    return n_early;
  }

  // Add all vertices of a flat to the cells around them.
  void book(const Flat& f) {
    double p[MOST_DIMENSIONS];
    for (Index a = 0; a < f.cell.n; ++a) {
      Bits sides = f.sides;
      for (Index i = 0; i < f.n_rows; ++i)
        if (at(f, i)[a] > 0) sides |= bit_of(f.rows[i]);
      for (Index t = 0; t < d_; ++t) p[t] = f.cell.x[t * f.cell.n + a];
      book_vertex(p, sides, f.members, f.cell.sets[a]);
    }
  }

  // Add a vertex to the cells around it: all choices of sides of the rows it lies on.
  void book_vertex(const double* p, Bits sides, Bits members, Bits facets) {
    const Bits base = sides & ~members;
    Bits some = 0;
    while (true) {
      Index& c = number_[base | some];
      if (c < 0) {
        c = Index(cells_.size());
        cells_.emplace_back();
        cells_.back().sides = base | some;
      }
      Listed& cell = cells_[c];
      for (Index t = 0; t < d_; ++t) cell.sum[t] += p[t];
      cell.sum[d_] += 1;
      cell.rows |= members;
      cell.facets |= facets;
      if (some == members) return;
      some = (some - members) & members;
    }
  }

  // Whether it is proved that a point lies strictly on one side of a row.
  bool is_beyond(const Row& row, bool above, const double* p) const {
    double y = row.g[d_];
    for (Index t = 0; t < d_; ++t) y += row.g[t] * p[t];
    return above ? y > row.fixed : y < -row.fixed;
  }

  // Hand in the cells of the list.
  void list(const Flat& first) {
    const Network& net = s_.net;
    const Bits base = s_.hash;
    Bits code = base;
    const auto label = [&](Index u, Index side) {
      const Index p = net.place[u];
      if (p < 0) return;
      if (side) code += net.code(u, 1);
      s_.label[p] = net.label[net.table[u] + side];
    };
    for (const auto& [u, side] : fixed_) label(u, side);
    for (const Listed& c : cells_) {
      Bits key = code;
      for (std::size_t j = 0; j < units_.size(); ++j) {
        const Index u = units_[j], side = (c.sides >> j) & 1;
        if (side) key += net.code(u, 1);
        s_.label[net.place[u]] = net.label[net.table[u] + side];
      }
      write_pattern(s_);
      double p[MOST_DIMENSIONS];
      for (Index t = 0; t < d_; ++t) p[t] = c.sum[t] / c.sum[d_];
      bool doubtful = false;
      const std::size_t before = s_.sink->facet_unit.size();
      for (Bits rows = c.rows; rows; rows &= rows - 1) {
        const Index j = std::countr_zero(rows), u = units_[j];
        doubtful |= !is_beyond(rows_[j], (c.sides >> j) & 1, p);
        s_.sink->facet_unit.push(std::int32_t(net.place[u]));
        s_.sink->facet_key.push(key + net.code_across(u, 1 - ((c.sides >> j) & 1)));
      }
      s_.hash = key;
      for (Bits facets = c.facets; facets; facets &= facets - 1) {
        const Index facet = first.cell.facets[std::countr_zero(facets)];
        write_facet(s_, facet);
        doubtful |= !polytope::is_beyond(s_, facet, p);
      }
      s_.sink->n_facets.push(std::int32_t(s_.sink->facet_unit.size() - before));
      std::copy_n(p, d_, s_.sink->points.extend(d_));
      s_.sink->doubtful.push(doubtful);
    }
    s_.hash = base;
  }

  State& s_;
  Index d_;
  std::vector<Index> number_;
  std::vector<Listed> cells_;
  std::vector<Row> rows_;
  std::vector<Index> units_;
  std::vector<std::pair<Index, Index>> fixed_;
  std::vector<double> bound_;
  std::vector<Edge> edges_;
};

}  // namespace polytope
