// Whether two functions vanish together somewhere in a convex cell, from their values at its vertices.
//
// The values are points (x, y) in the plane, and the question is whether 0 lies inside their hull. None of them is on
// an axis. Where all four quadrants have points it does. Otherwise two opposite quadrants have some, and it does if on
// either side of it there are points or a segment between these two quadrants; the steepness |y| / |x| tells.
#pragma once
#include <algorithm>

#include "loops.hpp"

namespace polytope {

enum Meeting { APART, TOGETHER, UNSURE };

// A function at the vertices: values, the bits of those that are positive, error bounds fixed + per_error * vertex's.
struct Sampled {
  const double* value;
  const Bits* above;
  double fixed, per_error;
};

constexpr double TINY_QUOTIENT = 0x1p-900;  // the error of a smaller quotient is no share of it

// Of the points of a quadrant: sure bounds on the greatest and on the least steepness.
struct Steepness {
  double greatest_low = 0, greatest_high = 0, least_low = INF, least_high = INF;

  void add(double y, double y_error, double x, double x_error) {
    const double low = (y - y_error) / (x + x_error) * (1 - 8 * U);
    const double high = (y + y_error) / (x - x_error) * (1 + 8 * U);
    const double sure_low = low > TINY_QUOTIENT ? low : 0, sure_high = std::max(high, TINY_QUOTIENT);
    greatest_low = std::max(greatest_low, sure_low);
    greatest_high = std::max(greatest_high, sure_high);
    least_low = std::min(least_low, sure_low);
    least_high = std::min(least_high, sure_high);
  }
};

// Whether the greatest steepness of one quadrant exceeds the least of the other, that is whether a segment between them
// passes 0 on the side in question; keeps the least ratio to the bounds.
inline Meeting exceeds(const Steepness& one, const Steepness& other, double& margin) {
  const double width = (one.greatest_high - one.greatest_low) + (other.least_high - other.least_low);
  const double over = one.greatest_low - other.least_high, under = other.least_low - one.greatest_high;
  if (!(over > 0) && !(under > 0)) return UNSURE;
  margin = std::min(margin, 1 + 2 * std::max(over, under) / width);
  return over > 0 ? TOGETHER : APART;
}

// The same of computed quotients, of which the true ratio is off by less than the factor share.
inline Meeting exceeds(double greatest, double least, double share) {
  if (greatest > least * share && greatest > TINY_QUOTIENT) return TOGETHER;
  return least > greatest * share && least > TINY_QUOTIENT ? APART : UNSURE;
}

// The functions vanish together if there are points or a segment on the left as well as on the right.
template <class Left, class Right>
Meeting both_sides(bool left, bool right, Left on_left, Right on_right) {
  const Meeting found = left ? TOGETHER : on_left();
  return found != TOGETHER || right ? found : on_right();
}

// What the quotients tell if each value exceeds its bound by the margin.
inline Meeting roughly(const Sampled& f, const Sampled& g, Index n, bool mirrored, bool left, bool right,
                       double margin) {
  if (!(margin > 4)) return UNSURE;
  const Quotients q = quotients(f.value, g.value, mirrored, n);
  const double one = (1 + 1 / margin) / (1 - 1 / margin), share = one * one * (1 + 32 * U);
  return both_sides(
      left, right, [&] { return exceeds(q.above_greatest, q.below_least, share); },
      [&] { return exceeds(q.below_greatest, q.above_least, share); });
}

// What they tell with the error of each.
inline Meeting closely(const Sampled& f, const Sampled& g, const double* error, Index n, bool mirrored, bool left,
                       bool right, double& margin) {
  Steepness above, below;
  for (Index i = 0; i < n; ++i) {
    const double x = f.value[i], y = g.value[i];
    if (((x > 0) != (y > 0)) != mirrored) continue;
    const double x_error = f.fixed + f.per_error * error[i], y_error = g.fixed + g.per_error * error[i];
    (y > 0 ? above : below).add(std::fabs(y), y_error, std::fabs(x), x_error);
  }
  return both_sides(
      left, right, [&] { return exceeds(above, below, margin); }, [&] { return exceeds(below, above, margin); });
}

// n vertices, error[i] the bounds on their errors. All values exceed the margin times their bounds, either function has
// both signs, and the values have room for padded(n).
inline Meeting meeting(const Sampled& f, const Sampled& g, const double* error, Index n, double& margin) {
  Bits quadrant[4] = {0, 0, 0, 0};  // + +, - -, - +, + -
  for (Index w = 0; 64 * w < n; ++w) {
    const Bits a = f.above[w], b = g.above[w], all = n - 64 * w >= 64 ? ~Bits(0) : (Bits(1) << (n - 64 * w)) - 1;
    quadrant[0] |= a & b;
    quadrant[1] |= ~(a | b) & all;
    quadrant[2] |= ~a & b;
    quadrant[3] |= a & ~b;
  }
  const bool mirrored = !quadrant[0] || !quadrant[1];  // then the other two have points
  const bool left = quadrant[mirrored ? 0 : 2] != 0, right = quadrant[mirrored ? 1 : 3] != 0;
  if (left && right) return TOGETHER;
  const Meeting found = roughly(f, g, n, mirrored, left, right, margin);
  return found == UNSURE ? closely(f, g, error, n, mirrored, left, right, margin) : found;
}

}  // namespace polytope
