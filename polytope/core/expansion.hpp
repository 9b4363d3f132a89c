// Exact values, at vertices of polygons, of rows whose coefficients are float64 numbers.
//
// At the vertex where rows f and e vanish, row g has the value det(g, f, e) / (f_0 e_1 - f_1 e_0). Determinants
// are computed without rounding, as sums of floats that do not overlap (Shewchuk 1997, "Adaptive precision
// floating-point arithmetic and fast robust geometric predicates", doi 10.1007/PL00009321).
#pragma once
#include "basics.hpp"

namespace polytope {

// Two floats that add up to a number exactly.
struct Pair {
  double high = 0, low = 0;
};

inline Pair two_sum(double a, double b) {
  const double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

inline Pair two_product(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}

// A row of the plane, each number as a pair of floats.
struct ExactRow2 {
  Pair c[3];
};

class Expansion {
 public:
  void add(double x) {
    int m = 0;
    for (int i = 0; i < n_; ++i) {
      const Pair s = two_sum(x, terms_[i]);
      x = s.high;
      if (s.low != 0) terms_[m++] = s.low;
    }
    if (x != 0) terms_[m++] = x;
    n_ = m;
  }

  void add_product(double x, double y, double z) {
    if (x == 0 || y == 0 || z == 0) return;
    const Pair xy = two_product(x, y);
    for (double part : {xy.high, xy.low}) {
      if (part == 0) continue;
      const Pair p = two_product(part, z);
      add(p.low);
      add(p.high);
    }
  }

  void add_products(double sign, const Pair& g, const Pair& f, const Pair& e) {
    for (double x : {g.high, g.low})
      for (double y : {f.high, f.low})
        for (double z : {e.high, e.low}) add_product(sign * x, y, z);
  }

  bool zero() const { return n_ == 0; }
  double total() const {  // within one rounding
    double x = 0;
    for (int i = 0; i < n_; ++i) x += terms_[i];
    return x;
  }

 private:
  double terms_[256];
  int n_ = 0;
};

// Whether the value of row g where rows f and e meet is known, and the value.
inline bool exact_value(const ExactRow2& g, const ExactRow2& f, const ExactRow2& e, double& value) {
  Expansion above, below;
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    above.add_products(1, g.c[i], f.c[j], e.c[k]);
    above.add_products(-1, g.c[i], f.c[k], e.c[j]);
  }
  value = 0;
  if (above.zero()) return true;
  const Pair one{1, 0};
  below.add_products(1, one, f.c[0], e.c[1]);
  below.add_products(-1, one, f.c[1], e.c[0]);
  if (below.zero()) return false;
  value = above.total() / below.total();
  return value != 0;
}

}  // namespace polytope
