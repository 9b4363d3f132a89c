// See loops.hpp.
#include "loops.hpp"

#include <algorithm>

#include "clones.hpp"
#include "eight.hpp"

namespace polytope {

POLYTOPE_CLONES void add_column(double* __restrict z, const double* __restrict column, double x, Index n) {
  for (Index r = 0; r < n; ++r) z[r] += column[r] * x;
}

// Adds COUNT columns, of which each number is read once for WIDTH planes, from .. to - 1.
template <int WIDTH, int COUNT>
[[gnu::always_inline]] inline void add_some(double* const* z, Index width, Index from, Index to,
                                            const double* const* columns, const double* x, Index n) {
  constexpr int W = WIDTH;
  const Index whole = n / 8 * 8;
  for (Index first = from; first + W <= to; first += W) {
    for (Index r = 0; r < whole; r += 8) {
      Plain sum[W];
      for (int t = 0; t < W; ++t) sum[t] = load(z[first + t] + r);
      for (int k = 0; k < COUNT; ++k) {
        const Plain column = load(columns[k] + r);
        for (int t = 0; t < W; ++t) sum[t] += column * x[k * width + first + t];
      }
      for (int t = 0; t < W; ++t) store(z[first + t] + r, sum[t]);
    }
    for (Index r = whole; r < n; ++r)
      for (int t = 0; t < W; ++t)
        for (int k = 0; k < COUNT; ++k) z[first + t][r] += columns[k][r] * x[k * width + first + t];
  }
}

template <int WIDTH, int COUNT>
[[gnu::always_inline]] inline void add_these(double* const* z, Index width, const double* const* columns,
                                             const double* x, Index n) {
  if constexpr (WIDTH > 0) {
    add_some<WIDTH, COUNT>(z, width, 0, width, columns, x, n);
  } else {
    add_some<4, COUNT>(z, width, 0, width, columns, x, n);
    add_some<1, COUNT>(z, width, width / 4 * 4, width, columns, x, n);
  }
}

template <int WIDTH>
[[gnu::always_inline]] inline void add_all(double* const* z, Index width, const double* const* columns, const double* x,
                                           Index m, Index n) {
  Index k = 0;
  for (; k + 8 <= m; k += 8) add_these<WIDTH, 8>(z, width, columns + k, x + k * width, n);
  if (m - k >= 4) add_these<WIDTH, 4>(z, width, columns + k, x + k * width, n), k += 4;
  if (m - k >= 2) add_these<WIDTH, 2>(z, width, columns + k, x + k * width, n), k += 2;
  if (m - k >= 1) add_these<WIDTH, 1>(z, width, columns + k, x + k * width, n);
}

POLYTOPE_CLONES void add_columns(double* const* z, Index width, const double* const* columns, const double* x, Index m,
                                 Index n) {
  switch (width) {
    case 2:
      return add_all<2>(z, width, columns, x, m, n);
    case 3:
      return add_all<3>(z, width, columns, x, m, n);
    case 4:
      return add_all<4>(z, width, columns, x, m, n);
    case 5:
      return add_all<5>(z, width, columns, x, m, n);
    case 6:
      return add_all<6>(z, width, columns, x, m, n);
    default:
      return add_all<0>(z, width, columns, x, m, n);
  }
}

template <int N>
[[gnu::always_inline]] inline Extent plane_values_in(double* __restrict value, const double* __restrict planes,
                                                     Index stride, const double* __restrict constant,
                                                     const double* __restrict x, Index d, Index n) {
  using E = Eight<N>;
  E low = E::all(INF), high = E::all(-INF);
  for (Index i = 0; i < n; i += 8) {
    E sum = E::load(constant + i);
    for (Index t = 0; t < d; ++t) sum += E::load(planes + t * stride + i) * x[t];
    sum.store(value + i);
    low = least(first(double(n - i), sum, low), low);
    high = greatest(first(double(n - i), sum, high), high);
  }
  return {least_of(low), greatest_of(high)};
}

POLYTOPE_CLONES Extent plane_values(double* value, const double* planes, Index stride, const double* constant,
                                    const double* x, Index d, Index n) {
  return wide() ? plane_values_in<8>(value, planes, stride, constant, x, d, n)
                : plane_values_in<4>(value, planes, stride, constant, x, d, n);
}

template <int N, int D>
[[gnu::always_inline]] inline Values evaluate_in(double* __restrict value, double* __restrict bound,
                                                 const double* __restrict x, Index n, const double* __restrict g,
                                                 Index d, double fixed, double per_error, double margin) {
  using E = Eight<N>;
  const Index dim = D ? D : d;
  const E zero{}, one = E::all(1);
  E low{}, high{}, short_of{};
  for (Index i = 0; i < n; i += 8) {
    E v = E::all(g[dim]);
    for (Index t = 0; t < dim; ++t) v += E::load(x + t * n + i) * g[t];
    const E b = E::load(x + dim * n + i) * per_error + E::all(fixed);
    v.store(value + i);
    b.store(bound + i);
    const E room = absolute(v) - b * margin, inside = first(double(n - i), v, zero);
    low = least(inside, low);
    high = greatest(inside, high);
    short_of += where_less(zero, first(double(n - i), room, one), zero, one);  // what is no number counts, too
  }
  return {least_of(low), greatest_of(high), greatest_of(short_of) == 0};
}

template <int N>
[[gnu::always_inline]] inline Values evaluate_any(double* value, double* bound, const double* x, Index n,
                                                  const double* g, Index d, double fixed, double per_error,
                                                  double margin) {
  switch (d) {
    case 2:
      return evaluate_in<N, 2>(value, bound, x, n, g, d, fixed, per_error, margin);
    case 3:
      return evaluate_in<N, 3>(value, bound, x, n, g, d, fixed, per_error, margin);
    case 4:
      return evaluate_in<N, 4>(value, bound, x, n, g, d, fixed, per_error, margin);
    case 5:
      return evaluate_in<N, 5>(value, bound, x, n, g, d, fixed, per_error, margin);
    default:
      return evaluate_in<N, 0>(value, bound, x, n, g, d, fixed, per_error, margin);
  }
}

POLYTOPE_CLONES Values evaluate_row(double* value, double* bound, const double* x, Index n, const double* g, Index d,
                                    double fixed, double per_error, double margin) {
  return wide() ? evaluate_any<8>(value, bound, x, n, g, d, fixed, per_error, margin)
                : evaluate_any<4>(value, bound, x, n, g, d, fixed, per_error, margin);
}

template <int N>
[[gnu::always_inline]] inline Quotients quotients_in(const double* __restrict x, const double* __restrict y,
                                                     bool mirrored, Index n) {
  using E = Eight<N>;
  const E zero{}, none = E::all(-1), never = E::all(INF);
  const double sign = mirrored ? -1 : 1;
  E most_above = none, most_below = none, least_above = never, least_below = never;
  for (Index i = 0; i < n; i += 8) {
    const E a = E::load(x + i) * sign, b = E::load(y + i), inside = first(double(n - i), absolute(b / a), none);
    const E above = where_less(zero, least(b, a), inside, none), below = where_less(greatest(b, a), zero, inside, none);
    most_above = greatest(above, most_above);
    most_below = greatest(below, most_below);
    least_above = least(where_less(above, zero, never, above), least_above);
    least_below = least(where_less(below, zero, never, below), least_below);
  }
  return {greatest_of(most_above), least_of(least_above), greatest_of(most_below), least_of(least_below)};
}

POLYTOPE_CLONES Quotients quotients(const double* x, const double* y, bool mirrored, Index n) {
  return wide() ? quotients_in<8>(x, y, mirrored, n) : quotients_in<4>(x, y, mirrored, n);
}

template <int N>
[[gnu::always_inline]] inline void clear_of_in(Bits* __restrict above, Bits* __restrict below,
                                               const double* __restrict value, const double* __restrict reach,
                                               double at, Index n) {
  using E = Eight<N>;
  for (Index from = 0; from < n; from += 64) {
    const Index end = std::min<Index>(n, from + 64);
    typename E::Words up{}, down{}, bit;
    for (int k = 0; k < N; ++k) bit[k] = Bits(1) << k;
    for (Index i = from; i < end; i += N, bit <<= N) {
      const auto gap = E::part_of(value + i) - at, far = E::part_of(reach + i);
      up |= gap > far ? bit : typename E::Words{};
      down |= gap < -far ? bit : typename E::Words{};
    }
    Bits ups = 0, downs = 0;
    for (int k = 0; k < N; ++k) ups |= up[k], downs |= down[k];
    const Bits given = first_bits(n - from);
    above[from / 64] = ups & given;
    below[from / 64] = downs & given;
  }
}

POLYTOPE_CLONES void clear_of(Bits* above, Bits* below, const double* value, const double* reach, double at, Index n) {
  return wide() ? clear_of_in<8>(above, below, value, reach, at, n) : clear_of_in<4>(above, below, value, reach, at, n);
}

// The same with words of N: sets against eight others at once.
template <int N>
[[gnu::always_inline]] inline void nearly_within_in(Bits* __restrict out, const Bits* __restrict sets, Index n) {
  using Words = typename Eight<N>::Words;
  for (Index a = 0; a < n; ++a) {
    Words found{}, bit;
    for (int k = 0; k < N; ++k) bit[k] = Bits(1) << k;
    for (Index i = 0; i < a; i += N, bit <<= N) {
      const Words b = *reinterpret_cast<const typename Eight<N>::LooseWords*>(sets + i);
      const Words missing = sets[a] & ~b, more = missing & (missing - 1);
      found |= more == 0 ? bit : Words{};
    }
    Bits all = 0;
    for (int k = 0; k < N; ++k) all |= found[k];
    out[a] = all & ((Bits(1) << a) - 1);
  }
}

POLYTOPE_CLONES void nearly_within(Bits* out, const Bits* sets, Index n) {
  return wide() ? nearly_within_in<8>(out, sets, n) : nearly_within_in<4>(out, sets, n);
}

POLYTOPE_CLONES void dot_products(double* __restrict out, const double* __restrict planes, Index stride,
                                  const double* __restrict weight, Index d, Index n) {
  for (Index k = 0; k < d; ++k) {
    Plain sum = load(planes + k * stride) * load(weight);
    for (Index i = 8; i < n; i += 8) sum += load(planes + k * stride + i) * load(weight + i);
    out[k] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }
}

// ROWS rows of the product at once, eight columns at a time, so that b is read once for all of them.
template <int ROWS>
[[gnu::always_inline]] inline void multiply_rows(double* out, const double* a, const double* b, Index n, Index width) {
  const Index whole = width / 8 * 8;
  for (Index j = 0; j < whole; j += 8) {
    Plain sum[ROWS] = {};
    for (Index r = 0; r < n; ++r) {
      const Plain column = load(b + r * width + j);
      for (int i = 0; i < ROWS; ++i) sum[i] += column * a[i * n + r];
    }
    for (int i = 0; i < ROWS; ++i) store(out + i * width + j, sum[i]);
  }
  for (Index j = whole; j < width; ++j)
    for (int i = 0; i < ROWS; ++i) {
      double sum = 0;
      for (Index r = 0; r < n; ++r) sum += a[i * n + r] * b[r * width + j];
      out[i * width + j] = sum;
    }
}

POLYTOPE_CLONES void multiply(double* __restrict out, const double* __restrict a, const double* __restrict b, Index m,
                              Index n, Index width) {
  Index i = 0;
  for (; i + 4 <= m; i += 4) multiply_rows<4>(out + i * width, a + i * n, b, n, width);
  for (; i < m; ++i) multiply_rows<1>(out + i * width, a + i * n, b, n, width);
}

template <int N>
[[gnu::always_inline]] inline Relaxed relax_in(double* __restrict weight, const double* __restrict sum,
                                               const double* __restrict slope_below,
                                               const double* __restrict slope_above,
                                               const double* __restrict constant_below,
                                               const double* __restrict constant_above, const double* __restrict error,
                                               Index n) {
  using E = Eight<N>;
  const Index whole = n / 8 * 8;
  E constant{}, size{}, off{};
  for (Index j = 0; j < whole; j += 8) {
    const E s = E::load(sum + j), up = greatest(s, E{}), down = s - up;
    const E a = E::load(constant_below + j), b = E::load(constant_above + j);
    const E w = up * E::load(slope_below + j) + down * E::load(slope_above + j);
    w.store(weight + j);
    constant += up * a + down * b;
    size += up * absolute(a) - down * absolute(b);
    off += absolute(w) * E::load(error + j);
  }
  Relaxed out{sum_of(constant), sum_of(size), sum_of(off)};
  for (Index j = whole; j < n; ++j) {
    const double up = sum[j] > 0 ? sum[j] : 0, down = sum[j] - up;
    weight[j] = up * slope_below[j] + down * slope_above[j];
    out.constant += up * constant_below[j] + down * constant_above[j];
    out.size += up * std::fabs(constant_below[j]) - down * std::fabs(constant_above[j]);
    out.error += std::fabs(weight[j]) * error[j];
  }
  return out;
}

POLYTOPE_CLONES Relaxed relax(double* weight, const double* sum, const double* slope_below, const double* slope_above,
                              const double* constant_below, const double* constant_above, const double* error,
                              Index n) {
  return wide() ? relax_in<8>(weight, sum, slope_below, slope_above, constant_below, constant_above, error, n)
                : relax_in<4>(weight, sum, slope_below, slope_above, constant_below, constant_above, error, n);
}

template <int N>
[[gnu::always_inline]] inline double least_of_row_in(const double* __restrict x, Index n, const double* __restrict g,
                                                     Index d) {
  using E = Eight<N>;
  const Index whole = n / 8 * 8;
  E low = E::all(INF);
  for (Index i = 0; i < whole; i += 8) {
    E v = E::all(g[d]);
    for (Index t = 0; t < d; ++t) v += E::load(x + t * n + i) * g[t];
    low = least(v, low);
  }
  double out = least_of(low);
  for (Index i = whole; i < n; ++i) {
    double v = g[d];
    for (Index t = 0; t < d; ++t) v += x[t * n + i] * g[t];
    out = std::min(out, v);
  }
  return out;
}

POLYTOPE_CLONES double least_of_row(const double* x, Index n, const double* g, Index d) {
  return wide() ? least_of_row_in<8>(x, n, g, d) : least_of_row_in<4>(x, n, g, d);
}

template <int N>
[[gnu::always_inline]] inline double greatest_between_in(const double* __restrict a, const double* __restrict b,
                                                         double share, Index n) {
  using E = Eight<N>;
  E most = E::all(-INF);
  for (Index i = 0; i < n; i += 8) {
    const E from = E::load(a + i), x = from + (E::load(b + i) - from) * share;
    most = greatest(first(double(n - i), x, most), most);
  }
  return greatest_of(most);
}

POLYTOPE_CLONES double greatest_between(const double* a, const double* b, double share, Index n) {
  return wide() ? greatest_between_in<8>(a, b, share, n) : greatest_between_in<4>(a, b, share, n);
}

template <int N>
[[gnu::always_inline]] inline Reach first_to_end_in(const double* __restrict column, const double* __restrict value,
                                                    const double* __restrict floor, const double* __restrict ceiling,
                                                    double sigma, double least_slope, double step,
                                                    double* __restrict scratch, Index n) {
  using E = Eight<N>;
  E soonest = E::all(step);
  const E zero{}, never = E::all(INF), least_of_slopes = E::all(least_slope);
  for (Index i = 0; i < n; i += 8) {
    const E a = E::load(column + i) * sigma, x = E::load(value + i), slope = absolute(a);
    const E room = where_less(a, zero, x - E::load(floor + i), E::load(ceiling + i) - x);
    const E there = where_less(least_of_slopes, slope, greatest(room, zero) / slope, never);
    soonest = least(there, soonest);
    there.store(scratch + i);
  }
  const double most = least_of(soonest);
  if (!(most < step)) return {step, -1};
  Index row = -1;
  for (Index i = 0; i < n; ++i)
    if (scratch[i] == most && (row < 0 || std::fabs(column[i]) > std::fabs(column[row]))) row = i;
  return {most, row};
}

POLYTOPE_CLONES Reach first_to_end(const double* column, const double* value, const double* floor,
                                   const double* ceiling, double sigma, double least_slope, double step,
                                   double* scratch, Index n) {
  return wide() ? first_to_end_in<8>(column, value, floor, ceiling, sigma, least_slope, step, scratch, n)
                : first_to_end_in<4>(column, value, floor, ceiling, sigma, least_slope, step, scratch, n);
}

POLYTOPE_CLONES void eliminate_columns(double* columns, Index stride, Index d, Index own, Index r, double inverse,
                                       Index n) {
  const double* __restrict from = columns + own * stride;
  for (Index k = 0; k < d; ++k) {
    if (k == own) continue;
    double* __restrict to = columns + k * stride;
    const double q = to[r] * inverse;
    if (q != 0)
      for (Index i = 0; i < n; i += 8) store(to + i, load(to + i) - load(from + i) * q);
    to[r] = -q;
  }
}

POLYTOPE_CLONES void add_absolute(double* __restrict z, const double* __restrict column, double x, Index n) {
  for (Index r = 0; r < n; ++r) z[r] += std::fabs(column[r]) * x;
}

POLYTOPE_CLONES void bound_rows(double* __restrict value, double* __restrict off, const double* const* z,
                                const double* middle, const double* half, const double* __restrict constant,
                                const double* __restrict error, double rounding, double lost, Index d, Index n) {
  for (Index r = 0; r < n; ++r) {
    value[r] = constant[r];
    off[r] = 1.0001 * error[r] + rounding * std::fabs(constant[r]) + lost;
  }
  for (Index t = 0; t < d; ++t) {
    const double* __restrict row = z[t];
    const double m = middle[t], h = half[t];
    for (Index r = 0; r < n; ++r) {
      value[r] += row[r] * m;
      off[r] += std::fabs(row[r]) * h;
    }
  }
}

}  // namespace polytope
