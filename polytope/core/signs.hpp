// On which side of a row a cell lies: proved signs of the row at the cell's vertices.
//
// A sign is known if the value exceeds a bound on its error (of the affine map, of the vertex, of this very
// evaluation), if the row is that of a facet through the vertex, or if it comes from exact arithmetic.
#pragma once
#include "expansion.hpp"
#include "state.hpp"
#include "vertices.hpp"

namespace polytope {

// Answers what floats cannot: the value of a row at the vertex where facets meet, of the right sign, 0 if zero.
struct ExactSigns {
  virtual double value(const std::vector<Name>& facets, const Name& row, const AffineMaps& maps) = 0;
  virtual ~ExactSigns() = default;
};

constexpr double LEAST = 0x1p-998;  // twice the size that exact answers have at least (core/exact_signs.py)

// The row that was evaluated last: its values at a cell's vertices, and bounds on their errors.
struct Evaluation {
  Row row;
  std::vector<double> value, bound;
  double balance = 1;  // 0 where the row cuts the vertices in the middle
  bool asked = false;  // whether floats alone could not tell
};

// Into a Row, or into anything with the same members for more dimensions.
template <class AnyRow>
void load_row(const State& s, const Name& name, AnyRow& row) {
  const Network& net = s.net;
  const Index d = net.d;
  double size = 0, slope = 0;
  if (name.b == -2) {
    const double* from = net.domain.data() + name.a * (d + 1);
    std::copy_n(from, d + 1, &row.g[0]);
  } else if (name.b < 0) {
    for (Index t = 0; t < d; ++t) row.g[t] = s.maps.at(t, name.a);
    row.g[d] = s.maps.at(d, name.a) - name.breakpoint;
  } else {
    for (Index t = 0; t <= d; ++t) row.g[t] = s.maps.at(t, name.a) - s.maps.at(t, name.b);
  }
  for (Index t = 0; t < d; ++t) {
    size += std::fabs(row.g[t]) * net.reach[t];
    slope += std::fabs(row.g[t]);
  }
  size += std::fabs(row.g[d]);
  row.error = 0;
  if (name.b != -2) row.error = s.maps.at(d + 1, name.a);
  if (name.b >= 0) row.error += s.maps.at(d + 1, name.b);
  if (name.b >= 0 || (name.b == -1 && name.breakpoint != 0)) row.error += 2 * U * size;
  if (name.b != -2 && (slope != 0 || row.g[d] != 0)) {
    size += net.lost;
    if (row.error != 0) row.error += net.lost;
  }
  row.fixed = (row.error + (d + 4) * U * size) * 1.0001 + (size != 0 ? net.lost : 0);
  row.per_error = slope * 1.0001;
  row.size = size;
}

// The names under which a row is compared: what its members copy.
inline Name named(const State& s, const Name& name) {
  if (name.b == -2) return {name.a, -2, 0};
  return {root_of(s.net, s.maps, name.a), root_of(s.net, s.maps, name.b), name.breakpoint};
}

// Whether a facet has the row of that name, up to sign.
inline bool same_row(const Facet& f, const Name& roots) {
  if (f.name.b == -2 || f.name.breakpoint != roots.breakpoint) return false;
  return (f.root_a == roots.a && f.root_b == roots.b) ||
         (roots.breakpoint == 0 && f.root_a == roots.b && f.root_b == roots.a);
}

// The function (-1: zero) that r equals on a facet, or -2.
inline Index linked(const Facet& f, Index r) {
  if (f.name.b == -2 || f.name.breakpoint != 0) return -2;
  if (f.root_a == r) return f.root_b;
  return f.root_b == r ? f.root_a : -2;
}

// Calls visit(facet number) for the facets through a vertex until it returns true; whether it did.
template <class Visit>
bool any_facet(const State& s, const Cell& c, Index vertex, Visit visit) {
  if (s.net.d == 2) return visit(c.facets[vertex]) || visit(c.facets[vertex ? vertex - 1 : c.n - 1]);
  for (Index q = 0; q < s.net.words; ++q)
    for (Bits bits = c.sets[q * c.n + vertex]; bits; bits &= bits - 1)
      if (visit(c.facets[slot_of(q, bits)])) return true;
  return false;
}

// Whether a vertex lies on a facet whose row is the row being decided, or on two that add up to it.
inline bool structural_zero(const State& s, const Cell& c, Index vertex, const Name& roots) {
  const auto on = [&](const Name& row) {
    return any_facet(s, c, vertex, [&](Index f) { return same_row(s.facets[f], row); });
  };
  if (on(roots)) return true;
  if (roots.breakpoint != 0) return false;
  return any_facet(s, c, vertex, [&](Index f) {
    const Index m = linked(s.facets[f], roots.a);
    return m != -2 && on({m, roots.b, 0});
  });
}

// Pre-activations that read the input alone, and rows of the domain, in floats exactly; false otherwise.
inline bool exact_row(const Network& net, Index a, Index b, double breakpoint, ExactRow2& out) {
  constexpr double LARGE = 0x1p200, SMALL = 0x1p-200;
  const auto fits = [](double x) { return x == 0 || (std::fabs(x) > SMALL && std::fabs(x) < LARGE); };
  if (a >= net.n_pre() || b >= net.n_pre()) return false;  // of a network that this one is a part of
  if ((a >= 0 && !net.given[a]) || (b >= 0 && (!net.given[b] || breakpoint != 0))) return false;
  for (Index t = 0; t < 3; ++t) {
    const double x = a >= 0 ? net.constant[t * net.n_pre() + a] : 0;
    const double y = b >= 0 ? net.constant[t * net.n_pre() + b] : t == 2 ? breakpoint : 0;
    if (!fits(x) || !fits(y)) return false;
    out.c[t] = two_sum(x, -y);
  }
  return true;
}

inline bool exact_facet_row(const State& s, const Facet& f, ExactRow2& out) {
  if (f.name.b != -2) return exact_row(s.net, f.root_a, f.root_b, f.name.breakpoint, out);
  constexpr double LARGE = 0x1p200, SMALL = 0x1p-200;
  for (Index t = 0; t < 3; ++t) {
    const double x = f.row.g[t];
    if (x != 0 && !(std::fabs(x) > SMALL && std::fabs(x) < LARGE)) return false;
    out.c[t] = {x, 0};
  }
  return true;
}

// Values within their bounds: zero by the facets' names, or asked of exact arithmetic.
inline int resolve(State& s, Evaluation& ev, ExactSigns& exact, const Cell& c, const Name& name) {
  ev.asked = true;
  const Name roots = named(s, name);
  const bool zero_row = name.b != -2 && roots.a == roots.b && name.breakpoint == 0;
  ExactRow2 g, f, e;
  const bool given = s.net.d == 2 && name.b != -2 && exact_row(s.net, roots.a, roots.b, name.breakpoint, g);
  std::vector<Name> through;
  int out = NONE;
  for (Index i = 0; i < c.n; ++i) {
    double& v = ev.value[i];
    if (!(std::fabs(v) > ev.bound[i])) {
      double x;
      if (zero_row || (name.b != -2 && structural_zero(s, c, i, roots))) {
        v = 0;
      } else if (given && exact_facet_row(s, s.facets[c.facets[i]], f) &&
                 exact_facet_row(s, s.facets[c.facets[i ? i - 1 : c.n - 1]], e) && exact_value(g, f, e, x)) {
        v = x;
        ev.bound[i] = 4 * U * std::fabs(x) + LEAST;
        ++s.n_exact;
      } else {
        through.clear();
        any_facet(s, c, i, [&](Index facet) {
          through.push_back(s.facets[facet].name);
          return false;
        });
        v = exact.value(through, name, s.maps);
        ev.bound[i] = 4 * U * std::fabs(v) + LEAST;
        ++s.n_exact;
      }
    }
    if (v > 0) out |= POSITIVE;
    if (v < 0) out |= NEGATIVE;
  }
  return out;
}

// The same as evaluate_row, for few vertices.
template <int D>
Values evaluate_few(const Cell& c, const Row& row, double margin, double* value, double* bound) {
  const Index k = c.n;
  Values out{0, 0, true};
  for (Index i = 0; i < k; ++i) {
    double v = row.g[D];
    for (Index t = 0; t < D; ++t) v += row.g[t] * c.x[t * k + i];
    const double b = row.fixed + row.per_error * c.x[D * k + i];
    value[i] = v;
    bound[i] = b;
    out.low = v < out.low ? v : out.low;
    out.high = v > out.high ? v : out.high;
    out.clear &= std::fabs(v) > margin * b;
  }
  return out;
}

// A row at the cell's vertices; the arrays have room for padded(n) numbers.
inline Values values_at(const Cell& c, const Row& row, Index d, double margin, double* value, double* bound) {
  constexpr Index FEW = 14;
  if (c.n < FEW) switch (d) {
      case 2:
        return evaluate_few<2>(c, row, margin, value, bound);
      case 3:
        return evaluate_few<3>(c, row, margin, value, bound);
      case 4:
        return evaluate_few<4>(c, row, margin, value, bound);
      case 5:
        return evaluate_few<5>(c, row, margin, value, bound);
    }
  return evaluate_row(value, bound, c.x, c.n, row.g, d, row.fixed, row.per_error, margin);
}

// Whether a value lies within its bound; keeps the least ratio of those that do not.
inline bool is_doubtful(State& s, const Evaluation& ev, Index n) {
  bool doubt = false;
  for (Index i = 0; i < n; ++i) {
    const double x = std::fabs(ev.value[i]), b = ev.bound[i];
    if (x > s.margin * b) continue;
    if (x > b)
      s.margin = x / b;
    else
      doubt = true;
  }
  return doubt;
}

// The signs that a row takes at the cell's vertices, all proved.
inline int evaluate(State& s, Evaluation& ev, ExactSigns& exact, const Cell& c, const Name& name) {
  const Index k = c.n;
  if (Index(ev.value.size()) < padded(k)) ev.value.resize(2 * padded(k)), ev.bound.resize(2 * padded(k));
  load_row(s, name, ev.row);
  double *v = ev.value.data(), *b = ev.bound.data();
  ev.asked = false;
  if (ev.row.size == 0 && ev.row.error == 0) {
    std::fill_n(v, k, 0.0);
    std::fill_n(b, k, 0.0);
    return NONE;
  }
  Values at = values_at(c, ev.row, s.net.d, s.margin, v, b);
  ev.balance = at.high > at.low ? std::fabs(at.high + at.low) / (at.high - at.low) : 1;
  const bool bounded = ev.row.fixed + ev.row.per_error < INF;  // else sums overflowed: infinite values exceed no bound
  if (!bounded || (!at.clear && is_doubtful(s, ev, k))) return resolve(s, ev, exact, c, name);
  return (at.high > 0 ? POSITIVE : NONE) | (at.low < 0 ? NEGATIVE : NONE);
}

// The same without asking anybody: DOUBTFUL where floats cannot tell.
inline int clear_sides(const State& s, const Cell& c, const Name& name) {
  Row row;
  load_row(s, name, row);
  const Index d = s.net.d, k = c.n;
  int out = NONE;
  for (Index i = 0; i < k; ++i) {
    double x = row.g[d];
    for (Index t = 0; t < d; ++t) x += row.g[t] * c.x[t * k + i];
    const double tolerance = row.fixed + row.per_error * c.x[d * k + i];
    out |= x > tolerance ? POSITIVE : x < -tolerance ? NEGATIVE : DOUBTFUL;
    if (out != POSITIVE && out != NEGATIVE) return out;
  }
  return out;
}

// The facet on which the values vanish, or -1: they vanish on a face, whose vertices must be a facet's.
inline Index touched_facet(const State& s, const Cell& c, const std::vector<double>& value) {
  const Index d = s.net.d, k = c.n;
  Index zeros = 0, last = -1;
  for (Index i = 0; i < k; ++i)
    if (value[i] == 0) ++zeros, last = i;
  if (zeros < d) return -1;
  if (d == 2) {
    for (Index i = 0; i < k; ++i)
      if (value[i] == 0 && value[i + 1 < k ? i + 1 : 0] == 0) return c.facets[i];
    return -1;
  }
  for (Index q = 0; q < s.net.words; ++q) {
    Bits common = c.sets[q * k + last];
    for (Index i = 0; i < k; ++i)
      if (value[i] == 0) common &= c.sets[q * k + i];
    for (; common; common &= common - 1) {
      const Bits bit = common & -common;
      Index holding = 0;
      for (Index i = 0; i < k; ++i) holding += (c.sets[q * k + i] & bit) != 0;
      if (holding == zeros) return c.facets[slot_of(q, common)];
    }
  }
  return -1;
}

// Remember that unit u's breakpoint between two pieces contains a facet of the cell.
inline void note_touch(State& s, const Cell& c, const std::vector<double>& value, Index u, Index below, Index above) {
  if (!s.sink->keeps()) return;
  const Index f = touched_facet(s, c, value);
  if (f >= 0 && s.facets[f].unit >= 0) s.touches.push_back({f, u, below, above});
}

}  // namespace polytope
