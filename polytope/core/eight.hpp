// Eight numbers at once. Where some are chosen, as vectors of N: 8 where the machine has such registers, else 4, since
// compilers take the choices of longer vectors apart, number by number. Addresses need no alignment; types say so,
// since copies of bytes go through the stack, in pieces from which the processor cannot forward a whole vector.
#pragma once
#include "basics.hpp"

namespace polytope {

// For sums and products only, which compilers divide well.
typedef double Plain __attribute__((vector_size(64)));
typedef double LoosePlain __attribute__((vector_size(64), aligned(8), may_alias));
[[gnu::always_inline]] inline Plain load(const double* p) { return *reinterpret_cast<const LoosePlain*>(p); }
[[gnu::always_inline]] inline void store(double* p, const Plain& v) { *reinterpret_cast<LoosePlain*>(p) = v; }

template <int N>
struct Eight {
  typedef double Part __attribute__((vector_size(8 * N)));  // as an alias of a template it would be one number
  typedef double Loose __attribute__((vector_size(8 * N), aligned(8), may_alias));
  typedef Bits Words __attribute__((vector_size(8 * N)));
  typedef Bits LooseWords __attribute__((vector_size(8 * N), aligned(8), may_alias));
  static constexpr int PARTS = 8 / N;
  Part part[PARTS];

  [[gnu::always_inline]] static Eight all(double x) {
    Eight out;
    for (Part& p : out.part) p = Part{} + x;
    return out;
  }
  [[gnu::always_inline]] static Part part_of(const double* p) { return *reinterpret_cast<const Loose*>(p); }
  [[gnu::always_inline]] static Eight load(const double* p) {
    Eight out;
    for (int i = 0; i < PARTS; ++i) out.part[i] = part_of(p + i * N);
    return out;
  }
  [[gnu::always_inline]] void store(double* p) const {
    for (int i = 0; i < PARTS; ++i) *reinterpret_cast<Loose*>(p + i * N) = part[i];
  }

  [[gnu::always_inline]] friend Eight operator+(Eight a, const Eight& b) {
    for (int i = 0; i < PARTS; ++i) a.part[i] += b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Eight operator-(Eight a, const Eight& b) {
    for (int i = 0; i < PARTS; ++i) a.part[i] -= b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Eight operator*(Eight a, const Eight& b) {
    for (int i = 0; i < PARTS; ++i) a.part[i] *= b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Eight operator/(Eight a, const Eight& b) {
    for (int i = 0; i < PARTS; ++i) a.part[i] /= b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Eight operator*(const Eight& a, double x) { return a * all(x); }
  [[gnu::always_inline]] Eight& operator+=(const Eight& b) { return *this = *this + b; }

  // x where a < b, else y
  [[gnu::always_inline]] friend Eight where_less(const Eight& a, const Eight& b, Eight x, const Eight& y) {
    for (int i = 0; i < PARTS; ++i) x.part[i] = a.part[i] < b.part[i] ? x.part[i] : y.part[i];
    return x;
  }
  // a where a < b, else b: b if either is no number
  [[gnu::always_inline]] friend Eight least(const Eight& a, const Eight& b) { return where_less(a, b, a, b); }
  [[gnu::always_inline]] friend Eight greatest(const Eight& a, const Eight& b) { return where_less(b, a, a, b); }
  [[gnu::always_inline]] friend Eight absolute(const Eight& a) { return where_less(a, Eight{}, Eight{} - a, a); }

  // x for the first n of the eight, y for the others
  [[gnu::always_inline]] friend Eight first(double n, const Eight& x, const Eight& y) {
    constexpr double NUMBERED[] = {0, 1, 2, 3, 4, 5, 6, 7};
    return where_less(load(NUMBERED), all(n), x, y);
  }
};

// The least of the eight numbers.
template <int N>
[[gnu::always_inline]] inline double least_of(const Eight<N>& eight) {
  using Part = typename Eight<N>::Part;
  Part v = eight.part[0];
  for (int i = 1; i < Eight<N>::PARTS; ++i) v = v < eight.part[i] ? v : eight.part[i];
  if constexpr (N == 8) {  // GCC and clang have different words for swapping halves
    const Part w = {v[4], v[5], v[6], v[7], v[0], v[1], v[2], v[3]};
    v = v < w ? v : w;
    const Part u = {v[2], v[3], v[0], v[1], v[6], v[7], v[4], v[5]};
    v = v < u ? v : u;
  } else {
    const Part w = {v[2], v[3], v[0], v[1]};
    v = v < w ? v : w;
  }
  return v[0] < v[1] ? v[0] : v[1];
}
template <int N>
[[gnu::always_inline]] inline double greatest_of(const Eight<N>& eight) {
  return -least_of(Eight<N>{} - eight);
}

template <int N>
[[gnu::always_inline]] inline double sum_of(const Eight<N>& eight) {
  double x[8];
  eight.store(x);
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

}  // namespace polytope
