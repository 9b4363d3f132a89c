// The cells of an arrangement, found vertex by vertex, and handed in together.
#pragma once
#include <vector>

#include "emit.hpp"

namespace polytope {

// A row of the arrangement: the unit, and what a cell writes of it on either side.
struct ListedRow {
  Row row;
  Index unit;
  std::int32_t place;
  Bits code;       // of the region, above the row
  Bits across[2];  // of the facet, seen from either side
  std::int8_t label[2];
};

template <int D>
class Listing {
 public:
  static constexpr Index MOST = 12;  // rows: there is a number for each choice of sides

  explicit Listing(Index d) : d_(d), number_(Index(1) << MOST, -1) {}

  bool empty() const { return cells_.empty(); }
  void clear() {
    for (const Listed& c : cells_) number_[c.sides] = -1;
    cells_.clear();
  }

  // Add a vertex to the cells around it: all choices of sides of the rows it lies on.
  void add(const double* p, Bits sides, Bits members, Bits facets) {
    const Bits base = sides & ~members;
    Bits some = 0;
    while (true) {
      std::int16_t& c = number_[base | some];
      if (c < 0) {
        c = std::int16_t(cells_.size());
        cells_.emplace_back();
        cells_.back().sides = std::uint32_t(base | some);
      }
      Listed& cell = cells_[c];
      for (Index t = 0; t < d(); ++t) cell.sum[t] += p[t];
      ++cell.n;
      cell.rows |= std::uint32_t(members);
      cell.facets |= facets;
      if (some == members) return;
      some = (some - members) & members;
    }
  }

  // Write the cells; `first` is the one that the rows cut, and the pattern so far is the cell's below all rows.
  void hand_in(State& s, const Cell& first, const std::vector<ListedRow>& rows) {
    const Bits base = s.hash;
    load_facets(s, first);
    load_pattern(s);
    for (const Listed& c : cells_) {
      s.hash = base;
      std::uint8_t* pattern = s.sink->patterns.extend(pattern_.size());
      std::copy(pattern_.begin(), pattern_.end(), pattern);
      for (std::size_t j = 0; j < rows.size(); ++j)
        if ((c.sides >> j) & 1) {
          s.hash += rows[j].code;
          set_label(s, pattern, rows[j]);
        }
      double* p = s.sink->points.extend(d());
      for (Index t = 0; t < d(); ++t) p[t] = c.sum[t] / double(c.n);
      write_facets(s, first, rows, c, p);
    }
    s.hash = base;
  }

 private:
  struct Listed {  // sides, rows and facets that it touches, the sum of its vertices and their number
    Bits facets = 0;
    std::uint32_t sides = 0, rows = 0;
    Index n = 0;
    double sum[D ? D : MOST_DIMENSIONS] = {};
  };
  struct Outer {  // a facet of the first cell, as the cells inside write it
    double g[(D ? D : MOST_DIMENSIONS) + 1], fixed;
    Bits key;  // less the region's
    std::int32_t place;
    bool inner;  // not of the domain's boundary
  };

  Index d() const { return D ? D : d_; }

  void load_pattern(State& s) {
    const std::size_t begin = s.sink->patterns.size();
    write_pattern(s);
    pattern_.assign(s.sink->patterns.data() + begin, s.sink->patterns.data() + s.sink->patterns.size());
    s.sink->patterns.shrink(begin);
  }

  static void set_label(const State& s, std::uint8_t* pattern, const ListedRow& row) {
    if (s.net.binary)
      pattern[row.place / 8] ^= std::uint8_t((row.label[0] ^ row.label[1]) << (row.place % 8));
    else
      pattern[row.place] = std::uint8_t(row.label[1]);
  }

  // What the facets write that some cell touches.
  void load_facets(const State& s, const Cell& first) {
    Bits used = 0;
    for (const Listed& c : cells_) used |= c.facets;
    for (; used; used &= used - 1) {
      const Index slot = std::countr_zero(used);
      const Facet& f = s.facets[first.facets[slot]];
      Outer& o = outer_[slot];
      const double sign = is_above(s, f) ? 1 : -1;
      for (Index t = 0; t <= d(); ++t) o.g[t] = sign * f.row.g[t];
      o.fixed = f.row.fixed;
      o.inner = f.unit >= 0;
      o.key = o.inner ? other_side(s, f.unit, f.below, f.above) : 0;
      o.place = std::int32_t(o.inner ? s.net.place[f.unit] : f.unit);
    }
  }

  double value(const double* g, const double* p) const {
    double y = g[d()];
    for (Index t = 0; t < d(); ++t) y += g[t] * p[t];
    return y;
  }

  void write_facets(State& s, const Cell& first, const std::vector<ListedRow>& rows, const Listed& c, const double* p) {
    constexpr std::size_t ROOM = 64 + MOST;
    std::int32_t* unit = s.sink->facet_unit.extend(ROOM);
    Bits* key = s.sink->facet_key.extend(ROOM);
    std::size_t n = 0;
    bool doubtful = false;
    for (Bits left = c.rows; left; left &= left - 1) {
      const Index j = std::countr_zero(left), side = (c.sides >> j) & 1;
      const double y = value(rows[j].row.g, p);
      doubtful |= !((side ? y : -y) > rows[j].row.fixed);
      unit[n] = rows[j].place;
      key[n++] = s.hash + rows[j].across[side];
    }
    const bool plain = s.touches.empty();
    for (Bits left = c.facets; left; left &= left - 1) {
      const Outer& o = outer_[std::countr_zero(left)];
      doubtful |= !(value(o.g, p) > o.fixed);
      unit[n] = o.place;
      key[n] = o.inner ? s.hash + o.key : 0;
      n += plain;
    }
    s.sink->facet_unit.shrink(s.sink->facet_unit.size() - ROOM + n);
    s.sink->facet_key.shrink(s.sink->facet_key.size() - ROOM + n);
    if (!plain)
      for (Bits left = c.facets; left; left &= left - 1, ++n) write_facet(s, first.facets[std::countr_zero(left)]);
    s.sink->n_facets.push(std::int32_t(n));
    s.sink->doubtful.push(doubtful);
  }

  Index d_;
  std::vector<std::int16_t> number_;  // of the cell on each choice of sides
  std::vector<Listed> cells_;
  std::vector<std::uint8_t> pattern_;
  Outer outer_[64];
};

}  // namespace polytope
