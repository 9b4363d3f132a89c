// See loops.hpp.
#include "loops.hpp"

#include <algorithm>

#include "clones.hpp"

namespace polytope {

POLYTOPE_CLONES void add_column(double* __restrict z, const double* __restrict column, double x, Index n) {
  for (Index r = 0; r < n; ++r) z[r] += column[r] * x;
}

// Eight numbers at once, whatever the machine makes of them; addresses need no alignment.
using Eight = double __attribute__((vector_size(64)));
[[gnu::always_inline]] inline Eight load(const double* p) {
  Eight v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline void store(double* p, const Eight& v) { __builtin_memcpy(p, &v, sizeof v); }

// Each number of the columns is read once for all planes; WIDTH 0 stands for any other number of planes.
template <int WIDTH>
[[gnu::always_inline]] inline void add_eight(double* const* z, Index width, const double* const* columns,
                                             const double* x, Index n) {
  constexpr int W = WIDTH > 0 ? WIDTH : 1;
  const Index whole = n / 8 * 8;
  for (Index first = 0; first < width; first += W) {
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
[[gnu::always_inline]] inline void add_all(double* const* z, Index width, const double* const* columns,
                                           const double* x, Index m, Index n) {
  Index k = 0;
  for (; k + 8 <= m; k += 8) add_eight<WIDTH>(z, width, columns + k, x + k * width, n);
  for (; k < m; ++k)
    for (Index t = 0; t < width; ++t) {
      double* __restrict to = z[t];
      const double* __restrict column = columns[k];
      const double factor = x[k * width + t];
      for (Index r = 0; r < n; ++r) to[r] += column[r] * factor;
    }
}

POLYTOPE_CLONES void add_columns(double* const* z, Index width, const double* const* columns, const double* x,
                                 Index m, Index n) {
  switch (width) {
    case 2: return add_all<2>(z, width, columns, x, m, n);
    case 3: return add_all<3>(z, width, columns, x, m, n);
    case 4: return add_all<4>(z, width, columns, x, m, n);
    case 5: return add_all<5>(z, width, columns, x, m, n);
    case 6: return add_all<6>(z, width, columns, x, m, n);
    default: return add_all<0>(z, width, columns, x, m, n);
  }
}

POLYTOPE_CLONES Extent plane_values(double* __restrict value, const double* __restrict planes, Index stride,
                                    const double* __restrict constant, const double* __restrict x, Index d, Index n) {
  Eight low = Eight{} + HUGE_VAL, high = Eight{} - HUGE_VAL;
  Extent out{HUGE_VAL, -HUGE_VAL};
  for (Index i = 0; i < n; i += 8) {
    Eight sum = load(constant + i);
    for (Index t = 0; t < d; ++t) sum += load(planes + t * stride + i) * x[t];
    store(value + i, sum);
    if (i + 8 > n) break;
    low = sum < low ? sum : low;
    high = sum > high ? sum : high;
  }
  for (Index i = n / 8 * 8; i < n; ++i) out.low = std::min(out.low, value[i]), out.high = std::max(out.high, value[i]);
  for (int j = 0; j < 8; ++j) out.low = std::min(out.low, low[j]), out.high = std::max(out.high, high[j]);
  return out;
}

POLYTOPE_CLONES void dot_products(double* __restrict out, const double* __restrict planes, Index stride,
                                  const double* __restrict weight, Index d, Index n) {
  for (Index k = 0; k < d; ++k) {
    Eight sum = load(planes + k * stride) * load(weight);
    for (Index i = 8; i < n; i += 8) sum += load(planes + k * stride + i) * load(weight + i);
    out[k] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }
}

POLYTOPE_CLONES double greatest_between(const double* __restrict a, const double* __restrict b, double share, Index n) {
  Eight most = Eight{} - HUGE_VAL;
  const Index whole = n / 8 * 8;
  for (Index i = 0; i < whole; i += 8) {
    const Eight from = load(a + i), x = from + (load(b + i) - from) * share;
    most = x > most ? x : most;
  }
  double out = -HUGE_VAL;
  for (Index i = whole; i < n; ++i) out = std::max(out, a[i] + share * (b[i] - a[i]));
  for (int j = 0; j < 8; ++j) out = std::max(out, most[j]);
  return out;
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
  double most = step;
  for (int j = 0; j < 8; ++j) most = std::min(most, least[j]);
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
