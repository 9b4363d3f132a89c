// The search: depth first, layer by layer; every cell is decided, split, or is a region.
//
// A stop unwinds the recursion, and every branch that was not entered becomes an open cell: the splits and
// branches that lead to it, from which another search can go on.
#pragma once
#include <optional>

#include "stack.hpp"
#include "state.hpp"

namespace polytope {

constexpr int UNIT_SHIFT = 20;  // a step of a path: the unit that was split, shifted, and the branch taken
using Path = std::vector<Index>;

// What a stop leaves: a cell not searched, with the layer it is in and how many breakpoints can still cut it; or
// the end of a split, with the same of the whole node and what was found in it so far.
struct Left {
  bool whole;
  Path path;
  Index layer, crossings, found;
};

// A branch that is given away to an idle worker.
struct Given {
  Path path;
  Index layer, crossings;
};

// Units of later layers that are not fixed yet, by layer, where somebody looked; splits since (early.hpp).
struct Ahead {
  const Free* free = nullptr;
  Index since = 0;
};

// How a cell is kept is the geometry's business: it has a state, and tells the signs that a row takes in a cell,
// the two parts of a cell, the units that are clear on entering a layer, and how a region is written.
template <class Geometry>
class Search {
 public:
  using Cell = typename Geometry::Cell;

  Search(Geometry& geometry, Control& control) : watch(control), geometry_(geometry), control_(control) {}

  // Search the branch of the root cell that a path leads to; begin() makes the root cell.
  template <class Begin>
  void run(Begin begin, const Path& path) {
    path_ = path;
    forced_ = 0;
    frames_.clear();
    const auto mark = s().mark();
    s().maps.depth = 1;  // so that all that is written can be taken back
    begin(*this);
    s().undo(mark);
  }

  // Begin in a layer with units that are all to be looked at.
  void start(Cell cell, Index layer, Index n_items) {
    Item* items = s().arena.template take<Item>(n_items);
    for (Index i = 0; i < n_items; ++i) {
      const Index u = net().unit_begin[layer] + i, pieces = net().kind[u] == DOMAIN_ROW ? 1 : net().n_pieces[u];
      items[i] = {u, 0, std::int32_t(pieces - 1), 0};
    }
    node({cell, layer, items, n_items, NOTHING, {}});
  }

  Watch watch;
  std::vector<Left> left;
  bool lost = false;  // the path is not one of this network on this domain

  // Called when another worker waits: takes a branch that was given away.
  std::function<void(Given)> give;

 private:
  static constexpr Item NOTHING{-1, 0, 0, 0};
  struct Node {
    Cell cell;
    Index layer;
    const Item* items;  // units still to be looked at
    Index n_items;
    Item split;  // the unit that the parent was split by, on the pieces left to it
    Ahead ahead;
    Index unseen = 0;  // splits since the cell was last asked for what is sought
    const double* ends = nullptr;  // of rows, on the cell that was asked last
  };
  struct Frame {  // a split: branches that are still to be entered
    Index next, number;
    Index layer;
    Item split;
    const Item* items;
    Index n_items, found;
  };
  struct List {  // units of a node: those that stay undecided, and those decided, not yet told to later layers
    Item* kept;
    Index n_kept = 0, best = -1;
    double least = INF;
    Index* settled;
    Index n_settled = 0;
  };

  State& s() { return geometry_.state; }
  const Network& net() const { return geometry_.state.net; }
  bool keeps() { return s().sink->keeps(); }
  bool forced() const { return forced_ < path_.size(); }

  void node(Node node) {
    stack_.check();
    List list;
    list.kept = s().arena.template take<Item>(node.n_items + 1);
    list.settled = s().arena.template take<Index>(node.n_items + 1);
    if (node.split.unit >= 0) {
      if (net().kind[node.split.unit] == PIECES)
        examine(node, node.split, list);
      else if (!compete(node, list))
        return;
    }
    if (node.layer + 1 == net().layers && !forced() && list.n_kept == 0)
      if (const auto n = geometry_.cells(node.cell, node.items, node.n_items, watch)) {
        watch.count(*n);
        return;
      }
    for (Index i = 0; i < node.n_items; ++i) {
      if (!look_at(node, node.items[i], list)) return;
      if (!late()) continue;
      const Index open = crossings(list.kept, list.n_kept) + crossings(node.items + i + 1, node.n_items - i - 1);
      leave(false, node.layer, open, 0, taken());
      return;
    }
    tell_later(node, list);
    if (geometry_.seeks() && node.split.unit >= 0 && node.layer > 0 && !forced() && !can_hold(node, list)) return;
    if (list.n_kept == 0)
      layer_done(node);
    else if (!look_ahead(node, list) && !own_network(node, list))
      split(node, list);
  }

  // Whether to stop, asked after each slow answer: the units of one cell alone can take minutes.
  bool late() {
    const Index answers = geometry_.slow_answers();
    if (answers == answers_) return false;
    answers_ = answers;
    return !watch.go_on_now() && !forced();
  }

  // Whether the cell was searched in a network of its own, in memory and without any doubt.
  bool own_network(const Node& node, const List& list) {
    if (forced()) return false;
    const auto n = geometry_.cells_below(node.cell, node.layer, list.kept, list.n_kept, watch);
    if (n) watch.count(*n);
    return n.has_value();
  }

  // Whether the cell can hold what is sought, looked at every few splits; chooses the unit to split.
  bool can_hold(Node& node, List& list) {
    if (++node.unseen < Geometry::UNSEEN) return true;
    node.unseen = 0;
    if (!geometry_.can_hold(node.cell, node.layer, list.kept, list.n_kept, node.ends)) return false;
    const Index unit = geometry_.most_influential(node.layer);
    if (unit >= 0) find(list, unit);
    return true;
  }

  // Fix units of later layers where that pays; whether the cell was searched in a network of its own.
  bool look_ahead(Node& node, const List& list) {
    if (!net().early) return false;
    if (!node.ahead.free || node.ahead.since >= Geometry::PERIOD)
      node.ahead = {geometry_.look_ahead(node.cell, node.layer, list.kept, list.n_kept, node.ahead.free), 0};
    if (keeps() || forced()) return false;
    Index undecided = list.n_kept;
    for (Index q = node.layer + 1; q < net().layers; ++q) undecided += node.ahead.free[q].n;
    if (undecided > net().few) return false;
    if (watch.go_on()) {
      const Index n = geometry_.count_reduced(node.cell, node.layer, list.kept, list.n_kept, node.ahead.free);
      if (n >= 0) {
        watch.count(n);
        return true;
      }
      control_.stop = true;
    }
    leave(false, node.layer, crossings(list.kept, list.n_kept), 0, taken());
    return true;
  }

  void tell_later(const Node& node, List& list) {
    geometry_.push(list.settled, list.n_settled, node.layer);
    list.n_settled = 0;
  }

  // One unit of the list; false if nothing of the cell is left.
  bool look_at(Node& node, const Item& item, List& list) {
    const Index kind = net().kind[item.unit];
    if (kind == DOMAIN_ROW) return examine_domain(node, item);
    if (kind == PIECES) {
      examine(node, item, list);
      return true;
    }
    const Index best = geometry_.winner(node.cell, item.unit);
    if (best >= 0)
      settle(item.unit, best, list);
    else
      retain(item, 5.0, list);
    return true;
  }

  void settle(Index u, Index piece, List& list) {
    s().decide(u, piece);
    list.settled[list.n_settled++] = u;
  }

  // The unit stays undecided, cut by one of its breakpoints; the most even cut is made first.
  void retain(const Item& item, double measure, List& list) {
    if (list.best < 0 || measure < list.least) {  // a measure can be NaN where sums overflow
      list.least = measure;
      list.best = list.n_kept;
    }
    list.kept[list.n_kept++] = item;
  }

  Name crossing(Index u, Index p) const { return {net().source[u], -1, net().breakpoint[net().table[u] + p]}; }

  // Narrow the pieces that a unit can be on.
  void examine(Node& node, Item item, List& list) {
    const Index u = item.unit;
    while (item.low < item.high) {
      const Index p = item.low;
      const int signs = geometry_.signs(node.cell, crossing(u, p));
      if (signs == BOTH) {
        retain({u, item.low, item.high, std::int32_t(p)}, geometry_.measure, list);
        return;
      }
      if (signs == NONE) {
        if (keeps()) s().hash += net().code_across(u, p + 1);
      } else {
        geometry_.touch(node.cell, u, p, p + 1);
      }
      if (signs == POSITIVE)
        item.low = std::int32_t(p + 1);
      else
        item.high = std::int32_t(p);
    }
    settle(u, item.low, list);
  }

  // Next row of the domain: keep the side where it is not positive.
  bool examine_domain(Node& node, const Item& item) {
    const Name name{net().source[item.unit], -2, 0};
    const int signs = geometry_.signs(node.cell, name);
    if (!(signs & NEGATIVE)) return false;
    return signs == NEGATIVE || take_part(node, item.unit, 0, 0, name, 0);
  }

  // Cut away where another member of a maximum is larger than the one that shall win.
  bool compete(Node& node, List& list) {
    const Index u = node.split.unit, c = node.split.low, n = net().n_pieces[u];
    const Index* members = net().members.data() + net().table[u];
    for (Index j = 0; j < n; ++j) {
      if (j == c) continue;
      const Name name{members[c], members[j], 0};
      const int signs = geometry_.signs(node.cell, name);
      if (signs == NEGATIVE || (signs == NONE && j < c)) return false;
      if (signs == BOTH) {
        if (!take_part(node, u, c, j, name, 1)) return false;
      } else if (signs == NONE) {
        if (keeps()) s().hash += net().code_across(u, j);
      } else {
        geometry_.touch(node.cell, u, c, j);
      }
    }
    settle(u, c, list);
    return true;
  }

  // Go on in one part of the cell; false if it has none on that side of the row.
  bool take_part(Node& node, Index u, Index below, Index above, const Name& name, int side) {
    typename Geometry::Prepared both;
    const int signs = geometry_.prepare(node.cell, u, below, above, name, both);
    if (signs == BOTH) node.cell = geometry_.part(node.cell, u, below, above, name, both, side);
    return (signs & (side ? POSITIVE : NEGATIVE)) != 0;
  }

  // Split the node by the unit that cuts it most evenly; its branches share the list of the others.
  void split(Node& node, List& list) {
    if (!forced() && !watch.go_on()) {
      leave(false, node.layer, crossings(list.kept, list.n_kept), 0, taken());
      return;
    }
    if (forced() && !find(list, path_[forced_] >> UNIT_SHIFT)) {
      lost = true;
      control_.stop = true;
      return;
    }
    std::swap(list.kept[list.best], list.kept[list.n_kept - 1]);
    const Item item = list.kept[list.n_kept - 1];
    const bool group = net().kind[item.unit] == MAXIMUM;
    typename Geometry::Prepared both{};
    if (!group) {
      const Index p = item.breakpoint;
      const int signs = geometry_.prepare(node.cell, item.unit, p, p + 1, crossing(item.unit, p), both);
      if (geometry_.crowded) return;
      if (signs != BOTH) return narrow(node, list, item, signs);
      if (counts_both(node, list, item)) return;
    }
    const Index number = group ? net().n_pieces[item.unit] : 2;
    Frame frame{0, number, node.layer, item, list.kept, list.n_kept - 1, watch.regions};
    if (forced()) {
      frame.next = path_[forced_++] & ((Index(1) << UNIT_SHIFT) - 1);
      if (frame.next >= number) {
        lost = true;
        control_.stop = true;
        return;
      }
      enter_branch(node, frame, frame.next, group, both);
      return;
    }
    branches(node, frame, group, both);
  }

  // The unit does not cross the cell after all, where it was thought to.
  void narrow(Node& node, List& list, Item item, int signs) {
    if (signs == POSITIVE)
      item.low = item.breakpoint + 1;
    else
      item.high = item.breakpoint;
    if (item.low < item.high) {
      item.breakpoint = item.low;
      list.kept[list.n_kept - 1] = item;
      list.best = list.n_kept - 1;
      return split(node, list);
    }
    --list.n_kept;
    list.best = 0;
    settle(item.unit, item.low, list);
    tell_later(node, list);
    if (list.n_kept)
      split(node, list);
    else
      layer_done(node);
  }

  // The last unit of the last layer, if only the number is wanted: both parts are regions.
  bool counts_both(const Node& node, const List& list, const Item& item) {
    if constexpr (!Geometry::COUNTS_LAST_UNIT) return false;
    if (keeps() || forced() || list.n_kept > 1 || node.layer + 1 < net().layers || item.high > item.low + 1)
      return false;
    if (watch.too_many(2)) return false;
    watch.count(2);
    return true;
  }

  void branches(Node& node, const Frame& begin, bool group, const typename Geometry::Prepared& both) {
    const auto mark = s().mark();
    const std::size_t level = frames_.size();
    frames_.push_back(begin);
    ++s().maps.depth;
    while (frames_[level].next < frames_[level].number && !control_.stop.load(std::memory_order_relaxed)) {
      const Index c = frames_[level].next++;
      if (c) s().undo(mark);
      enter_branch(node, frames_[level], c, group, both);
      if (give && watch.wanted()) give_away();
    }
    --s().maps.depth;
    const Frame frame = frames_.back();
    frames_.pop_back();
    if (control_.stop) leave_rest(frame);
  }

  void enter_branch(Node& node, const Frame& frame, Index c, bool group, const typename Geometry::Prepared& both) {
    Item item = frame.split;
    const Ahead ahead{node.ahead.free, node.ahead.since + 1};
    if (group) {
      item.low = std::int32_t(c);
      this->node({node.cell, node.layer, frame.items, frame.n_items, item, ahead, node.unseen, node.ends});
      return;
    }
    const Index p = item.breakpoint;
    (c == 0 ? item.high : item.low) = std::int32_t(c == 0 ? p : p + 1);
    Cell part = geometry_.part(node.cell, item.unit, p, p + 1, crossing(item.unit, p), both, int(c));
    this->node({part, node.layer, frame.items, frame.n_items, item, ahead, node.unseen, node.ends});
  }

  bool find(List& list, Index u) {
    for (Index i = 0; i < list.n_kept; ++i)
      if (list.kept[i].unit == u) {
        list.best = i;
        return true;
      }
    return false;
  }

  // All units of the layer are decided: enter the next layer, or hand in the cell.
  void layer_done(Node& node) {
    if (node.layer + 1 < net().layers) {
      enter(node.cell, node.layer + 1, node.ahead, node.ends);
      return;
    }
    if (keeps()) geometry_.emit(node.cell);
    watch.count(1);
  }

  // Decide the units of the layer that are clear on the cell; list the others; tell later layers.
  void enter(Cell& cell, Index layer, Ahead ahead, const double* ends = nullptr) {
    const Index n = net().width(layer);
    Item* items = s().arena.template take<Item>(n);
    Index* settled = s().arena.template take<Index>(n);
    Index n_items = 0, n_settled = 0;
    geometry_.enter(cell, layer, ahead.free, items, n_items, settled, n_settled);
    geometry_.push(settled, n_settled, layer);
    if (geometry_.seeks() && !forced() && !geometry_.can_hold(cell, layer, items, n_items, ends)) return;
    node({cell, layer, items, n_items, NOTHING, ahead, 0, ends});
  }

  // Breakpoints of a unit between two of its pieces; of a maximum, all pairs of members.
  Index crossings(Index u, Index low, Index high) const {
    const Index n = net().n_pieces[u];
    return net().kind[u] == PIECES ? high - low : net().kind[u] == MAXIMUM ? n * (n - 1) / 2 : 0;
  }
  Index crossings(const Item* items, Index n) const {
    Index total = 0;
    for (Index i = 0; i < n; ++i) total += crossings(items[i].unit, items[i].low, items[i].high);
    return total;
  }
  Index crossings(const Frame& f, Index c) const {
    const Item& i = f.split;
    const Index own = crossings(i.unit, c ? i.breakpoint + 1 : i.low, c ? i.high : i.breakpoint);
    return crossings(f.items, f.n_items) + own;
  }

  Path taken() const { return taken(frames_.size()); }
  Path taken(std::size_t levels) const {
    Path path = path_;
    for (std::size_t f = 0; f < levels; ++f)
      path.push_back((frames_[f].split.unit << UNIT_SHIFT) + frames_[f].next - 1);
    return path;
  }

  void leave(bool whole, Index layer, Index open, Index found, Path path) {
    left.push_back({whole, std::move(path), layer, open, found});
  }

  // The branches of a split that were not entered, and what the whole node could hold.
  void leave_rest(const Frame& f) {
    for (Index c = f.next; c < f.number; ++c) {
      Path path = taken();
      path.push_back((f.split.unit << UNIT_SHIFT) + c);
      leave(false, f.layer, crossings(f, c), 0, std::move(path));
    }
    const Index all = crossings(f.items, f.n_items) + crossings(f.split.unit, f.split.low, f.split.high);
    leave(true, f.layer, all, watch.regions - f.found, {});
  }

  // Give away the last branch of the node highest up that has one left.
  void give_away() {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      Frame& f = frames_[i];
      if (f.next >= f.number) continue;
      const Index c = --f.number;
      Path path = taken(i);
      path.push_back((f.split.unit << UNIT_SHIFT) + c);
      give({std::move(path), f.layer, crossings(f, c)});
      return;
    }
  }

  Geometry& geometry_;
  Control& control_;
  Stack stack_;  // of the thread that made this, which is the one that searches
  Path path_;  // that the search was told to follow
  std::size_t forced_ = 0;
  Index answers_ = 0;  // slow ones so far
  std::vector<Frame> frames_;
};

}  // namespace polytope
