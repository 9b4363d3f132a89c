// See crossing.hpp. Sums may be reordered and fused here (CMakeLists.txt): nothing is proved by them.
#include "crossing.hpp"

#include <algorithm>
#include <vector>

#include "clones.hpp"

namespace polytope {
namespace {

constexpr Index STEP = 8;  // rows of weights added at a time; lists of units are padded to a multiple

Index padded(std::vector<Index>& units, Index used) {
  const Index full = (used + STEP - 1) / STEP * STEP;
  std::fill(units.begin() + used, units.begin() + full, 0);
  return full;
}

// z[v] += sum_k c[v * stride + k] rows[k] over the first `used` rows, a multiple of STEP.
template <class Real>
[[gnu::always_inline]] inline void add_rows(Real* z, Index vertices, Index n, const Real* c, Index stride,
                                            const Real* const* rows, Index used) {
  for (Index k = 0; k < used; k += STEP) {
    const Real* __restrict w0 = rows[k], * __restrict w1 = rows[k + 1], * __restrict w2 = rows[k + 2];
    const Real* __restrict w3 = rows[k + 3], * __restrict w4 = rows[k + 4], * __restrict w5 = rows[k + 5];
    const Real* __restrict w6 = rows[k + 6], * __restrict w7 = rows[k + 7];
    for (Index v = 0; v < vertices; ++v) {
      Real* __restrict to = z + v * n;
      const Real* f = c + v * stride + k;
      const Real c0 = f[0], c1 = f[1], c2 = f[2], c3 = f[3], c4 = f[4], c5 = f[5], c6 = f[6], c7 = f[7];
      for (Index j = 0; j < n; ++j)
        to[j] += c0 * w0[j] + c1 * w1[j] + c2 * w2[j] + c3 * w3[j] + c4 * w4[j] + c5 * w5[j] + c6 * w6[j] + c7 * w7[j];
    }
  }
}

POLYTOPE_CLONES void add_products(float* z, Index vertices, Index n, const float* c, Index stride,
                                  const float* const* rows, Index used) {
  add_rows(z, vertices, n, c, stride, rows, used);
}
POLYTOPE_CLONES void add_products(double* z, Index vertices, Index n, const double* c, Index stride,
                                  const double* const* rows, Index used) {
  add_rows(z, vertices, n, c, stride, rows, used);
}

template <class Real>
[[gnu::always_inline]] inline void count_positive(const Real* z, Index vertices, Index n, std::int32_t* positive) {
  std::fill_n(positive, n, 0);
  for (Index v = 0; v < vertices; ++v)
    for (Index j = 0; j < n; ++j) positive[j] += z[v * n + j] > 0;
}
POLYTOPE_CLONES void positives(const float* z, Index vertices, Index n, std::int32_t* positive) {
  count_positive(z, vertices, n, positive);
}
POLYTOPE_CLONES void positives(const double* z, Index vertices, Index n, std::int32_t* positive) {
  count_positive(z, vertices, n, positive);
}

// The largest |relu(z_v) - relu(centre)| over the vertices.
template <class Real>
[[gnu::always_inline]] inline double most_far(const Real* z, Index vertices, Index n, const Real* centre) {
  Real far = 0;
  for (Index v = 0; v < vertices; ++v) {
    Real total = 0;
    for (Index j = 0; j < n; ++j) {
      const Real x = std::max(z[v * n + j], Real(0)) - std::max(centre[j], Real(0));
      total += x * x;
    }
    far = std::max(far, total);
  }
  return std::sqrt(double(far));
}
POLYTOPE_CLONES double farthest(const float* z, Index vertices, Index n, const float* centre) {
  return most_far(z, vertices, n, centre);
}
POLYTOPE_CLONES double farthest(const double* z, Index vertices, Index n, const double* centre) {
  return most_far(z, vertices, n, centre);
}

// List the units that are on at some vertex; how many cross.
Index listed(const std::vector<std::int32_t>& positive, Index n, Index vertices, std::vector<Index>& on, Index& used) {
  Index crossed = 0;
  used = 0;
  for (Index j = 0; j < n; ++j)
    if (positive[j] > 0) {
      on[used++] = j;
      crossed += positive[j] < vertices;
    }
  return crossed;
}

}  // namespace

template <class Real>
void second_layer(Matrix<const Real> z1, Matrix<const Real> offsets, const bool* usual, Matrix<const Real> shared,
                  Matrix<const Real> noise, Matrix<const Real> weights, Matrix<const Real> z2, Real* out,
                  std::int64_t* crossed) {
  const Index n = weights.rows, m = weights.columns, P = offsets.rows, stride = n + STEP;
  std::vector<Real> reach(n, 0), odd(P * stride), even(P * stride), odd_sum(P * m), even_sum(P * m);
  std::vector<Index> other(n + STEP), bent(n + STEP);
  std::vector<const Real*> rows(n + STEP);
  for (Index p = 0; p < P; ++p)
    for (Index j = 0; j < n; ++j) reach[j] = std::max(reach[j], std::fabs(offsets.row(p)[j]));
  const auto add = [&](std::vector<Index>& units, Index used, const std::vector<Real>& factors,
                       std::vector<Real>& sum) {
    const Index full = padded(units, used);
    for (Index k = 0; k < full; ++k) rows[k] = weights.row(units[k]);
    add_products(sum.data(), P, m, factors.data(), stride, rows.data(), full);
  };
  for (Index i = 0; i < z1.rows; ++i) {
    const Real* z = z1.row(i);
    const auto on = [&](Index j) { return z[j] + reach[j] > 0; };
    const auto off = [&](Index j) { return z[j] - reach[j] <= 0; };
    Index n_on = 0, n_other = 0, n_bent = 0;
    for (Index j = 0; j < n; ++j) {
      n_on += on(j);
      n_other += on(j) != usual[j] || (on(j) && off(j));
      if (on(j) && off(j)) bent[n_bent++] = j;
    }
    const bool alone = n_on <= n_other;  // the units that are on are fewer than those that are not as usual
    n_other = 0;
    for (Index j = 0; j < n; ++j)
      if (alone ? on(j) : on(j) != usual[j] || (on(j) && off(j))) other[n_other++] = j;
    crossed[i] = n_bent;
    for (Index p = 0; p < P; ++p) {
      const Real* t = offsets.row(p);
      Real *a = odd.data() + p * stride, *b = even.data() + p * stride;
      for (Index k = 0; k < n_other; ++k) {  // (relu(z + t) - relu(z - t)) / 2, without what is usual
        const Index j = other[k];
        const Real moved = Real(0.5) * (std::max(z[j] + t[j], Real(0)) - std::max(z[j] - t[j], Real(0)));
        a[k] = usual[j] && !alone ? moved - t[j] : moved;
      }
      std::fill_n(a + n_other, STEP, Real(0));
      for (Index k = 0; k < n_bent; ++k)  // (relu(z + t) + relu(z - t)) / 2 - relu(z)
        b[k] = Real(0.5) * std::max(std::fabs(t[bent[k]]) - std::fabs(z[bent[k]]), Real(0));
      std::fill_n(b + n_bent, STEP, Real(0));
      if (alone)
        std::fill_n(odd_sum.begin() + p * m, m, Real(0));
      else
        std::copy_n(shared.row(p), m, odd_sum.begin() + p * m);
      std::copy_n(z2.row(i), m, even_sum.begin() + p * m);
    }
    add(other, n_other, odd, odd_sum);
    add(bent, n_bent, even, even_sum);
    Real* to = out + i * 2 * P * m;
    const Real* least = noise.row(i);
    for (Index p = 0; p < P; ++p)
      for (Index j = 0; j < m; ++j) {
        const Real e = even_sum[p * m + j], o = odd_sum[p * m + j], up = e + o, down = e - o;
        to[p * m + j] = std::fabs(up) > least[j] ? up : Real(0);
        to[(P + p) * m + j] = std::fabs(down) > least[j] ? down : Real(0);
      }
  }
}

template <class Real>
void next_layer(const Real* z, Index points, Index vertices, Matrix<const Real> weights, const Real* bias, Real* out,
                std::int64_t* crossed) {
  const Index n = weights.rows, m = weights.columns, stride = n + STEP;
  std::vector<Index> on(n + STEP);
  std::vector<std::int32_t> positive(n);
  std::vector<Real> factors(vertices * stride);
  std::vector<const Real*> rows(n + STEP);
  for (Index i = 0; i < points; ++i) {
    const Real* here = z + i * vertices * n;
    positives(here, vertices, n, positive.data());
    Index used;
    crossed[i] = listed(positive, n, vertices, on, used);
    const Index full = padded(on, used);
    for (Index k = 0; k < full; ++k) rows[k] = weights.row(on[k]);
    Real* to = out + i * vertices * m;
    for (Index v = 0; v < vertices; ++v) {
      std::copy_n(bias, m, to + v * m);
      for (Index k = 0; k < used; ++k) factors[v * stride + k] = std::max(here[v * n + on[k]], Real(0));
      std::fill_n(factors.begin() + v * stride + used, full - used, Real(0));
    }
    add_products(to, vertices, m, factors.data(), stride, rows.data(), full);
  }
}

template <class Real>
void last_layer(const Real* z, Index vertices, Matrix<const Real> centre, Matrix<const Real> weights, const Real* bias,
                Matrix<const Real> squares, Matrix<const Real> next_centre, double slack, std::int64_t* crossed,
                std::int64_t* next_crossed) {
  const Index n = weights.rows, m = weights.columns, stride = n + STEP;
  std::vector<Index> on(n + STEP), chosen(m + STEP);
  std::vector<std::int32_t> positive(std::max(n, m + STEP));
  std::vector<Real> lengths(m), factors(vertices * stride), table((n + STEP) * (m + STEP)), sums(vertices * (m + STEP));
  std::vector<const Real*> rows(n + STEP);
  for (Index i = 0; i < centre.rows; ++i) {
    const Real *here = z + i * vertices * n, *c = centre.row(i);
    positives(here, vertices, n, positive.data());
    Index used;
    crossed[i] = listed(positive, n, vertices, on, used);
    const double far = farthest(here, vertices, n, c);
    double size = 0;
    for (Index j = 0; j < n; ++j) size += double(std::max(c[j], Real(0))) * double(std::max(c[j], Real(0)));
    size = std::sqrt(size) + far;
    std::fill(lengths.begin(), lengths.end(), Real(0));
    for (Index j = 0; j < n; ++j) {
      if (positive[j] <= 0 && !(c[j] > 0)) continue;
      const Real* row = squares.row(j);
      for (Index k = 0; k < m; ++k) lengths[k] += row[k];
    }
    Index count = 0;
    for (Index k = 0; k < m; ++k) {
      const double length = std::sqrt(double(lengths[k]));
      if (std::fabs(double(next_centre.row(i)[k])) <=
          length * (far + slack * size) + slack * std::fabs(double(bias[k])))
        chosen[count++] = k;
    }
    const Index full = padded(on, used), width = (count + STEP - 1) / STEP * STEP;  // the rest repeats unit 0
    std::fill(chosen.begin() + count, chosen.begin() + width, 0);
    for (Index q = 0; q < full; ++q) {
      Real* to = table.data() + q * width;
      const Real* from = weights.row(on[q]);
      for (Index k = 0; k < width; ++k) to[k] = from[chosen[k]];
      rows[q] = to;
    }
    for (Index v = 0; v < vertices; ++v) {
      for (Index k = 0; k < width; ++k) sums[v * width + k] = bias[chosen[k]];
      for (Index q = 0; q < used; ++q) factors[v * stride + q] = std::max(here[v * n + on[q]], Real(0));
      std::fill_n(factors.begin() + v * stride + used, full - used, Real(0));
    }
    add_products(sums.data(), vertices, width, factors.data(), stride, rows.data(), full);
    positives(sums.data(), vertices, width, positive.data());
    Index total = 0;
    for (Index k = 0; k < count; ++k) total += 0 < positive[k] && positive[k] < vertices;
    next_crossed[i] = total;
  }
}

template <class Real>
void crossings(const Real* z, Index points, Index vertices, Index n, std::int64_t* crossed) {
  std::vector<std::int32_t> positive(n);
  for (Index i = 0; i < points; ++i) {
    positives(z + i * vertices * n, vertices, n, positive.data());
    crossed[i] = std::count_if(positive.begin(), positive.end(), [&](auto k) { return 0 < k && k < vertices; });
  }
}

template void second_layer(Matrix<const float>, Matrix<const float>, const bool*, Matrix<const float>,
                           Matrix<const float>, Matrix<const float>, Matrix<const float>, float*, std::int64_t*);
template void next_layer(const float*, Index, Index, Matrix<const float>, const float*, float*, std::int64_t*);
template void last_layer(const float*, Index, Matrix<const float>, Matrix<const float>, const float*,
                         Matrix<const float>, Matrix<const float>, double, std::int64_t*, std::int64_t*);
template void crossings(const float*, Index, Index, Index, std::int64_t*);
template void second_layer(Matrix<const double>, Matrix<const double>, const bool*, Matrix<const double>,
                           Matrix<const double>, Matrix<const double>, Matrix<const double>, double*, std::int64_t*);
template void next_layer(const double*, Index, Index, Matrix<const double>, const double*, double*, std::int64_t*);
template void last_layer(const double*, Index, Matrix<const double>, Matrix<const double>, const double*,
                         Matrix<const double>, Matrix<const double>, double, std::int64_t*, std::int64_t*);
template void crossings(const double*, Index, Index, Index, std::int64_t*);

}  // namespace polytope
