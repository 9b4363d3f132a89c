// The cells that the breakpoints of the last layer make of one cell, counted or listed without cutting it.
//
// Hyperplanes H_1, .., H_n that cross a convex cell P make as many cells of it as there are sets S of them with
// P n (intersection of H_i, i in S) not empty, S = {} included (deletion and restriction; in general position).
// These flats are visited depth first, each once, as sections of the one before. A vertex on the rows S lies on
// the 2^|S| cells around it, so the vertices of all flats list the cells with their facets and interior points.
// To count them, no section is made for rows of which at most two meet: the signs and values at the vertices tell.
// Only clear signs are used: at the first doubtful one nothing is done, and the search splits the cell instead.
#pragma once
#include <optional>

#include "listing.hpp"
#include "quadrants.hpp"
#include "search.hpp"

namespace polytope {

class Arrangement {
 public:
  // Number of cells that the units make of the cell, handed in if cells are wanted; nothing if that is in doubt.
  virtual std::optional<Index> cells(const Cell& cell, const Item* items, Index m, Watch& watch) = 0;
  virtual ~Arrangement() = default;
};

// In D dimensions, or in any number if D is 0.
template <int D>
class ArrangementIn final : public Arrangement {
 public:
  explicit ArrangementIn(State& s) : s_(s), d_(s.net.d), listing_(s.net.d) {}

  std::optional<Index> cells(const Cell& cell, const Item* items, Index m, Watch& watch) override {
    const bool keep = s_.sink->keeps();
    if (m == 0) return keep ? std::nullopt : std::optional<Index>(1);
    if ((d() != 2 && s_.net.words != 1) || (d() == 2 && cell.n > 62)) return {};
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
    Bits* above;          // where they are positive, row after row
    Index n_rows, early;  // how many; how many of them come before its own
    Bits members, sides;  // its own rows; the sides of the rows that do not cross it
    Edge* edges;
    Index n_edges;

    Index words() const { return (cell.n + 63) / 64; }
    const double* at(Index i) const { return values + i * cell.n; }
    const Bits* positive(Index i) const { return above + i * words(); }
  };
  static constexpr Index DOUBT = -1;

  Index d() const { return D ? D : d_; }
  static Bits bit_of(Index row) { return Bits(1) << (row & 63); }  // read only of rows in a listing

  std::optional<Index> in_memory(const Cell& cell, const Item* items, Index m, bool keep, Watch& watch) {
    Flat first{};
    Index total = open(cell, items, m, keep, first) ? visit_all(first, keep, watch) : DOUBT;
    if (total > 0 && watch.too_many(total)) total = DOUBT;
    if (keep && total > 0) hand_in(first);
    listing_.clear();
    return total < 0 ? std::nullopt : std::optional<Index>(total);
  }

  enum Side { MIXED, BELOW, ABOVE, UNCLEAR };

  // On which side of a row the vertices are; writes padded(n) values.
  Side side_of(const Row& row, const Cell& c, double* value) {
    bound_.resize(std::max<std::size_t>(bound_.size(), padded(c.n)));
    const Values at = values_at(c, row, d(), s_.margin, value, bound_.data());
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

  // One more row crosses the flat, whose values are there already.
  void cross(Flat& f, Index row) {
    const Index n = f.cell.n;
    const double* v = f.at(f.n_rows);
    for (Index w = 0; 64 * w < n; ++w) {
      Bits bits = 0;
      for (Index a = std::min<Index>(n, 64 * w + 64); a-- > 64 * w;) bits = 2 * bits + (v[a] > 0);
      f.above[f.n_rows * f.words() + w] = bits;
    }
    f.rows[f.n_rows++] = row;
  }

  void make_room(Flat& f, Index n_rows) {
    f.rows = s_.arena.template take<Index>(n_rows);
    f.values = s_.arena.template take<double>(n_rows * f.cell.n + BLOCK);
    f.above = s_.arena.template take<Bits>(n_rows * f.words());
  }

  // The cell as the first flat; the units whose rows cross it are numbered, the others have one side.
  bool open(const Cell& cell, const Item* items, Index m, bool keep, Flat& f) {
    const Network& net = s_.net;
    rows_.clear();
    fixed_.clear();
    f.cell = cell;
    make_room(f, m);
    for (Index i = 0; i < m; ++i) {
      const Index u = items[i].unit, table = net.table[u];
      if (net.kind[u] != PIECES || net.n_pieces[u] != 2) return false;
      rows_.emplace_back();
      ListedRow& listed = rows_.back();
      load_row(s_, {net.source[u], -1, net.breakpoint[table]}, listed.row);
      const Side side = side_of(listed.row, cell, f.values + f.n_rows * cell.n);
      if (side == UNCLEAR) return false;
      if (side != MIXED) {
        rows_.pop_back();
        fixed_.push_back({u, side == ABOVE});
        continue;
      }
      if (keep && (f.n_rows == Listing<D>::MOST || net.place[u] < 0)) return false;
      listed.unit = u;
      cross(f, f.n_rows);
    }
    if (keep && f.n_rows == 0) return false;
    f.early = f.n_rows;
    if (d() == 2) {  // a vertex of a polygon lies on the edges after and before it
      f.cell.sets = s_.arena.template take<Bits>(cell.n);
      for (Index a = 0; a < cell.n; ++a) f.cell.sets[a] = Bits(1) << a | Bits(1) << (a > 0 ? a - 1 : cell.n - 1);
    }
    return true;
  }

  Index visit_all(Flat& f, bool keep, Watch& watch) {
    if (d() == 1) {
      const Index n = segment(f, f.cell, -1, f.early, keep);
      return n < 0 ? n : n + 1;
    }
    if (!keep) return count(f, d(), watch);
    book(f);
    add_edges(f, d());
    const Index n = visit(f, d(), watch);
    return n < 0 ? n : n + 1;
  }

  // Number of flats of rows that cross f, itself included, or DOUBT, also where the search is to stop.
  Index count(Flat& f, Index dim, Watch& watch) {
    const Index m = f.n_rows;
    if (m < 2) return 1 + m;
    std::int8_t* meets = s_.arena.template take<std::int8_t>(m * m);
    Index* near = s_.arena.template take<Index>(m);  // rows before row i that meet it
    Index total = 1;
    for (Index i = 0; i < m; ++i) {
      if (!watch.go_on()) return DOUBT;
      Index n = 0;
      bool three = false;  // whether there may be three that meet, row i among them
      for (Index j = 0; j < i; ++j) {
        const Meeting found = meeting(sampled(f, j), sampled(f, i), f.cell.x + d() * f.cell.n, f.cell.n, s_.margin);
        if (found == UNSURE) return DOUBT;
        meets[i * m + j] = found == TOGETHER;
        if (found != TOGETHER) continue;
        for (Index k = 0; k < n; ++k) three |= meets[j * m + near[k]] != 0;
        near[n++] = j;
      }
      const Index inside = three ? count_section(f, i, near, n, dim, watch) : 1 + n;
      if (inside < 0 || watch.too_many(total += inside)) return DOUBT;
    }
    return total;
  }

  Sampled sampled(const Flat& f, Index i) const {
    const Row& row = rows_[f.rows[i]].row;
    return {f.at(i), f.positive(i), row.fixed, row.per_error};
  }

  // The same in the section by row i, which n rows are known to cross.
  Index count_section(Flat& f, Index i, const Index* near, Index n, Index dim, Watch& watch) {
    if (f.cell.n < 64) {
      const Bits above = f.positive(i)[0], all = (Bits(1) << f.cell.n) - 1;
      if (all_sides(f, near, n, above) && all_sides(f, near, n, all & ~above)) return Index(1) << n;
    }
    if (!f.edges) add_edges(f, dim);
    const Arena::Mark mark = s_.arena.mark();
    Flat g{};
    g.cell = section(f, i);
    Index found = DOUBT;
    if (dim == 2) {
      found = segment(f, g.cell, f.rows[i], i, false);
      if (found >= 0) ++found;
    } else if (open_section(f, near, n, g)) {
      found = count(g, dim - 1, watch);
    }
    s_.arena.release(mark);
    return found;
  }

  // Whether the vertices in a set have all choices of sides of n rows: then the rows meet, and so do any of them.
  bool all_sides(const Flat& f, const Index* rows, Index n, Bits vertices) const {
    if (n == 0) return vertices != 0;
    const Bits above = f.positive(rows[n - 1])[0];
    return all_sides(f, rows, n - 1, vertices & above) && all_sides(f, rows, n - 1, vertices & ~above);
  }

  bool open_section(const Flat& f, const Index* near, Index n, Flat& g) {
    make_room(g, n);
    for (Index k = 0; k < n; ++k) {
      const Index row = f.rows[near[k]];
      if (side_of(rows_[row].row, g.cell, g.values + k * g.cell.n) != MIXED) return false;
      cross(g, row);
    }
    return true;
  }

  void add_edges(Flat& f, Index dim) {
    const Cell& c = f.cell;
    if (c.simple && c.n <= 64) {
      add_simple_edges(f);
      return;
    }
    edges_.clear();
    for (Index a = 1; a < c.n; ++a)
      for (Index b = 0; b < a; ++b)
        if (c.simple ? all_but_one(c.sets[a], c.sets[b]) : is_edge(c, 1, dim, a, b))
          edges_.push_back({std::int32_t(a), std::int32_t(b)});
    f.n_edges = Index(edges_.size());
    f.edges = s_.arena.template take<Edge>(f.n_edges);
    std::copy(edges_.begin(), edges_.end(), f.edges);
  }

  // Of at most 64 vertices, each on as many facets as the flat has dimensions.
  void add_simple_edges(Flat& f) {
    Bits sets[64], joined[64];
    std::copy_n(f.cell.sets, f.cell.n, sets);
    nearly_within(joined, sets, f.cell.n);
    Index n = 0;
    for (Index a = 0; a < f.cell.n; ++a) n += std::popcount(joined[a]);
    f.edges = s_.arena.template take<Edge>(n);
    f.n_edges = 0;
    for (Index a = 0; a < f.cell.n; ++a)
      for (Bits left = joined[a]; left; left &= left - 1)
        f.edges[f.n_edges++] = {std::int32_t(a), std::int32_t(std::countr_zero(left))};
  }

  // List the flats inside flat f of some dimension; their number, f left out, or DOUBT, also where the search is to
  // stop.
  Index visit(const Flat& f, Index dim, Watch& watch) {
    Index total = 0;
    for (Index i = 0; i < f.early; ++i) {
      if (!watch.go_on()) return DOUBT;
      const Arena::Mark mark = s_.arena.mark();
      const Index n = visit_section(f, i, dim, watch);
      s_.arena.release(mark);
      if (n < 0 || watch.too_many(total += n)) return DOUBT;
    }
    return total;
  }

  Index visit_section(const Flat& f, Index i, Index dim, Watch& watch) {
    const Index own = f.rows[i];
    const Cell c = section(f, i);
    if (dim == 2) {
      const Index n = segment(f, c, own, i, true);
      return n < 0 ? n : n + 1;
    }
    Flat g{};
    if (!open_flat(f, c, own, i, g)) return DOUBT;
    book(g);
    if (!g.early) return 1;
    add_edges(g, dim - 1);
    const Index n = visit(g, dim - 1, watch);
    return n < 0 ? n : n + 1;
  }

  // The section of a flat by its i-th row.
  Cell section(const Flat& f, Index i) {
    const double* v = f.at(i);
    const Row& row = rows_[f.rows[i]].row;
    const Cell& c = f.cell;
    Edge* crossed = s_.arena.template take<Edge>(f.n_edges + 1);
    Index n = 0;
    for (Index e = 0; e < f.n_edges; ++e) {  // without branches: which ends are above is as good as random
      crossed[n] = f.edges[e];
      n += (v[f.edges[e].below] > 0) != (v[f.edges[e].above] > 0);
    }
    Cell out{n, s_.arena.template take<double>((d() + 1) * n), s_.arena.template take<Bits>(n), nullptr, c.simple};
    const auto bound = [&](Index a) { return row.fixed + row.per_error * c.x[d() * c.n + a]; };
    const double farthest = s_.net.farthest();
    for (Index y = 0; y < n; ++y) {
      const auto [a, b] = crossed[y];
      edge_point<D>(c, d(), crossed[y], v[a], v[b], bound(a), bound(b), farthest, out.x, n, y);
      out.sets[y] = c.sets[a] & c.sets[b];
    }
    return out;
  }

  bool open_flat(const Flat& f, const Cell& c, Index own, Index early, Flat& g) {
    g.cell = c;
    make_room(g, f.n_rows);
    g.members = f.members | bit_of(own);
    g.sides = f.sides;
    for (Index i = 0; i < f.n_rows; ++i) {
      const Index j = f.rows[i];
      if (j == own) continue;
      const Side side = side_of(rows_[j].row, c, g.values + g.n_rows * c.n);
      if (side == UNCLEAR) return false;
      if (side == MIXED) {
        cross(g, j);
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
    double* where = s_.arena.template take<double>(n_rows);
    double* error = s_.arena.template take<double>(n_rows);
    Index* row = s_.arena.template take<Index>(n_rows);
    Index n = 0, n_early = 0;
    double margin = s_.margin;
    for (Index i = 0; i < n_rows; ++i) {
      const Index j = f.rows[i];
      if (j == own) continue;
      const Row& r = rows_[j].row;
      double a = r.g[d()], b = a;
      for (Index t = 0; t < d(); ++t) {
        a += r.g[t] * c.x[2 * t];
        b += r.g[t] * c.x[2 * t + 1];
      }
      const double ta = r.fixed + r.per_error * c.x[2 * d()], tb = r.fixed + r.per_error * c.x[2 * d() + 1];
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
      for (Index t = 0; t < d(); ++t) p[t] = c.x[2 * t + end];
      listing_.add(p, sides | (end ? crossing & ~ends : ends), members, c.sets[end]);
    }
    for (Index i = 0; i < n_early; ++i) {
      Bits there = sides;
      for (Index j = 0; j < n; ++j) {
        const Bits bit = bit_of(row[j]);
        if (((ends & bit) != 0) == (where[j] > where[i])) there |= bit;
      }
      for (Index t = 0; t < d(); ++t) p[t] = c.x[2 * t] + where[i] * (c.x[2 * t + 1] - c.x[2 * t]);
      listing_.add(p, there, members | bit_of(row[i]), c.sets[0] & c.sets[1]);
    }
    return n_early;
  }

  // Add all vertices of a flat to the cells around them.
  void book(const Flat& f) {
    double p[MOST_DIMENSIONS];
    for (Index a = 0; a < f.cell.n; ++a) {
      Bits sides = f.sides;
      for (Index i = 0; i < f.n_rows; ++i) sides |= ((f.positive(i)[a / 64] >> (a % 64)) & 1) << (f.rows[i] & 63);
      for (Index t = 0; t < d(); ++t) p[t] = f.cell.x[t * f.cell.n + a];
      listing_.add(p, sides, f.members, f.cell.sets[a]);
    }
  }

  // Hand in the cells of the list.
  void hand_in(const Flat& first) {
    const Network& net = s_.net;
    const Bits base = s_.hash;
    for (const auto& [u, side] : fixed_) {
      const Index p = net.place[u];
      if (p < 0) continue;
      if (side) s_.hash += net.code(u, 1);
      s_.label[p] = net.label[net.table[u] + side];
    }
    for (ListedRow& row : rows_) {
      const Index u = row.unit, table = net.table[u];
      row.place = std::int32_t(net.place[u]);
      row.code = net.code(u, 1);
      for (Index side = 0; side < 2; ++side) {
        row.across[side] = net.code_across(u, 1 - side);
        row.label[side] = net.label[table + side];
      }
      s_.label[row.place] = row.label[0];
    }
    listing_.hand_in(s_, first.cell, rows_);
    s_.hash = base;
  }

  State& s_;
  const Index d_;
  Listing<D> listing_;
  std::vector<ListedRow> rows_;
  std::vector<std::pair<Index, Index>> fixed_;
  std::vector<double> bound_;
  std::vector<Edge> edges_;
};

inline std::unique_ptr<Arrangement> make_arrangement(State& s) {
  switch (s.net.d) {
    case 1:
      return std::make_unique<ArrangementIn<1>>(s);
    case 2:
      return std::make_unique<ArrangementIn<2>>(s);
    case 3:
      return std::make_unique<ArrangementIn<3>>(s);
    case 4:
      return std::make_unique<ArrangementIn<4>>(s);
    case 5:
      return std::make_unique<ArrangementIn<5>>(s);
    case 6:
      return std::make_unique<ArrangementIn<6>>(s);
    default:
      return std::make_unique<ArrangementIn<0>>(s);
  }
}

}  // namespace polytope
