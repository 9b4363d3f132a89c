// See loops.hpp.
#include "loops.hpp"

#include <algorithm>

#include "clones.hpp"

namespace polytope {

POLYTOPE_CLONES void add_column(double* __restrict z, const double* __restrict column, double x, Index n) {
  for (Index r = 0; r < n; ++r) z[r] += column[r] * x;
}

// Eight numbers at once, whatever the machine makes of them; addresses need no alignment. Comparisons stand inside of
// a choice only: as values of their own compilers take them apart.
using Eight = double __attribute__((vector_size(64)));
[[gnu::always_inline]] inline Eight load(const double* p) {
  Eight v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline void store(double* p, const Eight& v) { __builtin_memcpy(p, &v, sizeof v); }

constexpr Eight LANES = {0, 1, 2, 3, 4, 5, 6, 7};

// The least of eight numbers.
[[gnu::always_inline]] inline double least_of(Eight v) {
  Eight w = {v[4], v[5], v[6], v[7], v[0], v[1], v[2], v[3]};  // GCC and clang have different words for it
  v = v < w ? v : w;
  w = Eight{v[2], v[3], v[0], v[1], v[6], v[7], v[4], v[5]};
  v = v < w ? v : w;
  return std::min(v[0], v[1]);
}

// Each number of the columns is read once for WIDTH planes, from .. to - 1.
template <int WIDTH>
[[gnu::always_inline]] inline void add_eight(double* const* z, Index width, Index from, Index to,
                                             const double* const* columns, const double* x, Index n) {
  constexpr int W = WIDTH;
  const Index whole = n / 8 * 8;
  for (Index first = from; first + W <= to; first += W) {
    for (Index r = 0; r < whole; r += 8) {
      Eight sum[W];
      for (int t = 0; t < W; ++t) sum[t] = load(z[first + t] + r);
      for (int k = 0; k < 8; ++k) {
        const Eight column = load(columns[k] + r);
        for (int t = 0; t < W; ++t) sum[t] += column * x[k * width + first + t];
      }
      for (int t = 0; t < W; ++t) store(z[first + t] + r, sum[t]);
    }
    for (Index r = whole; r < n; ++r)
      for (int t = 0; t < W; ++t)
        for (int k = 0; k < 8; ++k) z[first + t][r] += columns[k][r] * x[k * width + first + t];
  }
}

template <int WIDTH>
[[gnu::always_inline]] inline void add_all(double* const* z, Index width, const double* const* columns, const double* x,
                                           Index m, Index n) {
  Index k = 0;
  for (; k + 8 <= m; k += 8)
    if constexpr (WIDTH > 0) {
      add_eight<WIDTH>(z, width, 0, width, columns + k, x + k * width, n);
    } else {
      add_eight<4>(z, width, 0, width, columns + k, x + k * width, n);
      add_eight<1>(z, width, width / 4 * 4, width, columns + k, x + k * width, n);
    }
  for (; k < m; ++k)
    for (Index t = 0; t < width; ++t) {
      double* __restrict to = z[t];
      const double* __restrict column = columns[k];
      const double factor = x[k * width + t];
      for (Index r = 0; r < n; ++r) to[r] += column[r] * factor;
    }
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

POLYTOPE_CLONES Extent plane_values(double* __restrict value, const double* __restrict planes, Index stride,
                                    const double* __restrict constant, const double* __restrict x, Index d, Index n) {
  Eight low = Eight{} + HUGE_VAL, high = Eight{} - HUGE_VAL;
  for (Index i = 0; i < n; i += 8) {
    Eight sum = load(constant + i);
    for (Index t = 0; t < d; ++t) sum += load(planes + t * stride + i) * x[t];
    store(value + i, sum);
    const double left = double(n - i);
    Eight x = LANES < left ? sum : low;
    low = x < low ? x : low;
    x = LANES < left ? sum : high;
    high = x > high ? x : high;
  }
  return {least_of(low), -least_of(-high)};
}

template <int D>
[[gnu::always_inline]] inline Values evaluate_in(double* __restrict value, double* __restrict bound,
                                                 const double* __restrict x, Index n, const double* __restrict g,
                                                 Index d, double fixed, double per_error, double margin) {
  const Index dim = D ? D : d;
  const Eight zero{}, one = zero + 1.0;
  Eight low{}, high{}, short_of{};
  for (Index i = 0; i < n; i += 8) {
    Eight v = Eight{} + g[dim];
    for (Index t = 0; t < dim; ++t) v += load(x + t * n + i) * g[t];
    const Eight b = load(x + dim * n + i) * per_error + fixed;
    store(value + i, v);
    store(bound + i, b);
    const Eight size = v < 0 ? -v : v, room = size - b * margin;
    const double left = double(n - i);
    const Eight inside = LANES < left ? v : zero, enough = LANES < left ? room : one;
    low = inside < low ? inside : low;
    high = inside > high ? inside : high;
    short_of += enough > zero ? zero : one;  // what is no number counts, too
  }
  return {least_of(low), -least_of(-high), -least_of(-short_of) == 0};
}

POLYTOPE_CLONES Values evaluate_row(double* value, double* bound, const double* x, Index n, const double* g, Index d,
                                    double fixed, double per_error, double margin) {
  switch (d) {
    case 2:
      return evaluate_in<2>(value, bound, x, n, g, d, fixed, per_error, margin);
    case 3:
      return evaluate_in<3>(value, bound, x, n, g, d, fixed, per_error, margin);
    case 4:
      return evaluate_in<4>(value, bound, x, n, g, d, fixed, per_error, margin);
    case 5:
      return evaluate_in<5>(value, bound, x, n, g, d, fixed, per_error, margin);
    default:
      return evaluate_in<0>(value, bound, x, n, g, d, fixed, per_error, margin);
  }
}

POLYTOPE_CLONES Quotients quotients(const double* __restrict x, const double* __restrict y, bool mirrored, Index n) {
  const Eight zero{}, none = zero - 1.0, never = zero + HUGE_VAL;
  const double sign = mirrored ? -1 : 1;
  Eight most_above = none, most_below = none, least_above = never, least_below = never;
  for (Index i = 0; i < n; i += 8) {
    const Eight a = load(x + i) * sign, b = load(y + i), q = b / a, size = q < 0 ? -q : q;
    const Eight inside = LANES < double(n - i) ? size : none;
    const Eight above = (b < a ? b : a) > 0 ? inside : none, below = (b > a ? b : a) < 0 ? inside : none;
    most_above = above > most_above ? above : most_above;
    most_below = below > most_below ? below : most_below;
    const Eight low_above = above < 0 ? never : above, low_below = below < 0 ? never : below;
    least_above = low_above < least_above ? low_above : least_above;
    least_below = low_below < least_below ? low_below : least_below;
  }
  return {-least_of(-most_above), least_of(least_above), -least_of(-most_below), least_of(least_below)};
}

POLYTOPE_CLONES void nearly_within(Bits* __restrict out, const Bits* __restrict sets, Index n) {
  using Words = Bits __attribute__((vector_size(64)));
  constexpr Words FIRST = {1, 2, 4, 8, 16, 32, 64, 128};
  for (Index a = 0; a < n; ++a) {
    Words found{}, bit = FIRST;
    for (Index i = 0; i < a; i += 8, bit <<= 8) {
      Words b;
      __builtin_memcpy(&b, sets + i, sizeof b);
      const Words missing = sets[a] & ~b, more = missing & (missing - 1);
      found |= more == 0 ? bit : Words{};
    }
    const Bits all = (found[0] | found[1] | found[2] | found[3]) | (found[4] | found[5] | found[6] | found[7]);
    out[a] = all & ((Bits(1) << a) - 1);
  }
}

POLYTOPE_CLONES void dot_products(double* __restrict out, const double* __restrict planes, Index stride,
                                  const double* __restrict weight, Index d, Index n) {
  for (Index k = 0; k < d; ++k) {
    Eight sum = load(planes + k * stride) * load(weight);
    for (Index i = 8; i < n; i += 8) sum += load(planes + k * stride + i) * load(weight + i);
    out[k] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }
}

// ROWS rows of the product at once, eight columns at a time, so that b is read once for all of them.
template <int ROWS>
[[gnu::always_inline]] inline void multiply_rows(double* out, const double* a, const double* b, Index n, Index width) {
  const Index whole = width / 8 * 8;
  for (Index j = 0; j < whole; j += 8) {
    Eight sum[ROWS] = {};
    for (Index r = 0; r < n; ++r) {
      const Eight column = load(b + r * width + j);
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

POLYTOPE_CLONES Relaxed relax(double* __restrict weight, const double* __restrict sum,
                              const double* __restrict slope_below, const double* __restrict slope_above,
                              const double* __restrict constant_below, const double* __restrict constant_above,
                              const double* __restrict error, Index n) {
  const Index whole = n / 8 * 8;
  Eight constant{}, size{}, off{};
  for (Index j = 0; j < whole; j += 8) {
    const Eight s = load(sum + j), zero{}, up = s > zero ? s : zero, down = s - up;
    const Eight a = load(constant_below + j), b = load(constant_above + j);
    const Eight w = up * load(slope_below + j) + down * load(slope_above + j);
    store(weight + j, w);
    constant += up * a + down * b;
    size += up * (a < zero ? -a : a) - down * (b < zero ? -b : b);
    off += (w < zero ? -w : w) * load(error + j);
  }
  Relaxed out{0, 0, 0};
  for (int i = 0; i < 8; ++i) {
    out.constant += constant[i];
    out.size += size[i];
    out.error += off[i];
  }
  for (Index j = whole; j < n; ++j) {
    const double up = sum[j] > 0 ? sum[j] : 0, down = sum[j] - up;
    weight[j] = up * slope_below[j] + down * slope_above[j];
    out.constant += up * constant_below[j] + down * constant_above[j];
    out.size += up * std::fabs(constant_below[j]) - down * std::fabs(constant_above[j]);
    out.error += std::fabs(weight[j]) * error[j];
  }
  return out;
}

POLYTOPE_CLONES double least_of_row(const double* __restrict x, Index n, const double* __restrict g, Index d) {
  const Index whole = n / 8 * 8;
  Eight least = Eight{} + std::numeric_limits<double>::infinity();
  for (Index i = 0; i < whole; i += 8) {
    Eight v = Eight{} + g[d];
    for (Index t = 0; t < d; ++t) v += load(x + t * n + i) * g[t];
    least = v < least ? v : least;
  }
  double out = least_of(least);
  for (Index i = whole; i < n; ++i) {
    double v = g[d];
    for (Index t = 0; t < d; ++t) v += x[t * n + i] * g[t];
    out = std::min(out, v);
  }
  return out;
}

POLYTOPE_CLONES double greatest_between(const double* __restrict a, const double* __restrict b, double share, Index n) {
  Eight most = Eight{} - HUGE_VAL;
  for (Index i = 0; i < n; i += 8) {
    const Eight from = load(a + i), x = from + (load(b + i) - from) * share;
    const Eight inside = LANES < double(n - i) ? x : most;
    most = inside > most ? inside : most;
  }
  return -least_of(-most);
}

POLYTOPE_CLONES Reach first_to_end(const double* __restrict column, const double* __restrict value,
                                   const double* __restrict floor, const double* __restrict ceiling, double sigma,
                                   double least_slope, double step, double* __restrict scratch, Index n) {
  Eight least = Eight{} + step;
  const Eight zero{}, never = zero + HUGE_VAL;
  for (Index i = 0; i < n; i += 8) {
    const Eight a = load(column + i) * sigma, x = load(value + i), slope = a < zero ? -a : a;
    const Eight room = a < zero ? x - load(floor + i) : load(ceiling + i) - x;
    const Eight there = slope > least_slope ? (room > zero ? room : zero) / slope : never;
    least = there < least ? there : least;
    store(scratch + i, there);
  }
  const double most = least_of(least);
  if (!(most < step)) return {step, -1};
  Index row = -1;
  for (Index i = 0; i < n; ++i)
    if (scratch[i] == most && (row < 0 || std::fabs(column[i]) > std::fabs(column[row]))) row = i;
  return {most, row};
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
