// What one search carries along: the maps, the facets met, the pattern so far, memory, and whom to tell.
#pragma once
#include <functional>
#include <vector>

#include "cell.hpp"
#include "control.hpp"
#include "sink.hpp"

namespace polytope {

struct Item {  // an undecided unit: the pieces that it can be on, and the breakpoint that crosses the cell
  Index unit;
  std::int32_t low, high, breakpoint;
};

// The units of a layer that are not fixed on a cell (early.hpp).
struct Free {
  const Index* units;
  Index n;
};

struct State {
  State(const Network& network, Sink& out, Control& limits)
      : net(network), maps(network), sink(&out), control(limits), label(network.pattern_units / 8 * 8 + 16, 0) {}

  const Network& net;
  AffineMaps maps;
  Sink* sink;
  Control& control;

  Arena arena;
  std::vector<Facet> facets;
  std::vector<Touch> touches;
  Bits hash = 0;                   // of the pieces decided so far
  std::vector<std::int8_t> label;  // the pattern so far

  double margin = 0x1p20;  // the least ratio of a value to its bound among decisions made in floats
  Index n_exact = 0;       // signs that exact arithmetic decided

  // units decided before their turn (early.hpp): 1 fixed, 2 just fixed; how many units a row still matters to; trail
  struct Fixed {
    Index unit;
    bool rows;  // whether it let go of its rows
  };
  std::vector<std::int8_t> fix;
  std::vector<Index> need;
  std::vector<Fixed> fixed;

  // Rows that unit u reads stop mattering to it on its piece (-1), or matter again (1).
  void change_need(Index u, Index by) {
    const Index at = net.table[u], s = maps.piece[u];
    if (net.kind[u] == PIECES) {
      if (net.slope[at + s] == 0) need[net.source[u]] += by;
      return;
    }
    for (Index i = 0; i < net.n_pieces[u]; ++i)
      if (i != s) need[net.members[at + i]] += by;
  }

  struct Mark {
    Arena::Mark arena;
    AffineMaps::Mark maps;
    std::size_t facets, touches, fixed;
    Bits hash;
  };
  Mark mark() const { return {arena.mark(), maps.mark(), facets.size(), touches.size(), fixed.size(), hash}; }
  void undo(const Mark& m) {
    arena.release(m.arena);
    maps.undo(m.maps);
    facets.resize(m.facets);
    touches.resize(m.touches);
    for (; fixed.size() > m.fixed; fixed.pop_back()) {
      fix[fixed.back().unit] = 0;
      if (fixed.back().rows) change_need(fixed.back().unit, 1);
    }
    hash = m.hash;
  }

  // Unit u is on piece s from here on.
  void decide(Index u, Index s) {
    maps.piece[u] = s;
    if (!sink->keeps()) return;
    const Index p = net.place[u];
    if (p < 0) return;
    if (s) hash += net.code(u, s);
    label[p] = net.kind[u] == PIECES ? net.label[net.table[u] + s] : std::int8_t(s);
  }
};

}  // namespace polytope
