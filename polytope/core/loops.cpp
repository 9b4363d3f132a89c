// See loops.hpp.
#include "loops.hpp"

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
