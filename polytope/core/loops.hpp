// The loops that take the time, over many rows at once; compiled for several instruction sets (loops.cpp).
//
// Bounds on rounding errors hold with and without fused multiply-adds, so these loops may use them.
#pragma once
#include "basics.hpp"

namespace polytope {

// z[r] += column[r] * x
void add_column(double* z, const double* column, double x, Index n);
// z[t][r] += sum_k columns[k][r] * x[k * width + t], for `width` planes z and m columns
void add_columns(double* const* z, Index width, const double* const* columns, const double* x, Index m, Index n);
// z[r] += |column[r]| * x
void add_absolute(double* z, const double* column, double x, Index n);
// value[r] at the middle of a box, and by how much it can be off in the box: |z_t[r]| half[t] summed up
void bound_rows(double* value, double* off, const double* const* z, const double* middle, const double* half,
                const double* constant, const double* error, double rounding, double lost, Index d, Index n);

// Arrays of these are padded to whole blocks of BLOCK numbers, which are read and written too.
constexpr Index BLOCK = 8;
constexpr Index padded(Index n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

// value[i] = constant[i] + sum_t planes[t * stride + i] x[t]; the least and the greatest of the first n
struct Extent {
  double low, high;
};
Extent plane_values(double* value, const double* planes, Index stride, const double* constant, const double* x, Index d,
                    Index n);
// A row g x + g[d] at n vertices x[t * n + i], with bounds fixed + per_error * x[d * n + i] on the errors: least and
// greatest value, 0 included, and whether all values exceed margin times their bounds.
struct Values {
  double low, high;
  bool clear;
};
Values evaluate_row(double* value, double* bound, const double* x, Index n, const double* g, Index d, double fixed,
                    double per_error, double margin);
// The greatest and least of |y[i] / x[i]| for x, y > 0 and for x, y < 0; of -x in place of x if mirrored. Without any:
// -1 and infinity.
struct Quotients {
  double above_greatest, above_least, below_greatest, below_least;
};
Quotients quotients(const double* x, const double* y, bool mirrored, Index n);
// Bit i of above, of below: whether value[i] - at exceeds reach[i], is less than -reach[i]; arrays are read to the
// block.
void clear_of(Bits* above, Bits* below, const double* value, const double* reach, double at, Index n);
// Bit b < a of out[a]: whether set b has all elements of set a but one at most; for n <= 64 sets.
void nearly_within(Bits* out, const Bits* sets, Index n);
// out[k] = sum_i planes[k * stride + i] weight[i]
void dot_products(double* out, const double* planes, Index stride, const double* weight, Index d, Index n);
// out[i][j] = sum_r a[i][r] b[r][j], for m rows of n numbers and n rows of width
void multiply(double* out, const double* a, const double* b, Index m, Index n, Index width);
// weight[j] = sum[j] * slope of the line below where sum[j] is positive, else of the line above; the sums of the same
// with constants, of their sizes, and of |weight[j]| error[j]
struct Relaxed {
  double constant, size, error;
};
Relaxed relax(double* weight, const double* sum, const double* slope_below, const double* slope_above,
              const double* constant_below, const double* constant_above, const double* error, Index n);
// The least of g x + g[d] at n >= 1 points x[t * n + i]
double least_of_row(const double* x, Index n, const double* g, Index d);
// The greatest of a[i] + share * (b[i] - a[i])
double greatest_between(const double* a, const double* b, double share, Index n);

// One step of the simplex method (simplex.hpp): how far values can move along a column until one of them reaches its
// end, if that is nearer than step; which of them, the steepest of several, or -1.
struct Reach {
  double step;
  Index row;
};
Reach first_to_end(const double* column, const double* value, const double* floor, const double* ceiling, double sigma,
                   double least_slope, double step, double* scratch, Index n);
// other[i] -= q * own[i] for all columns but the own one, q = other[r] * inverse; then other[r] = -q
void eliminate_columns(double* columns, Index stride, Index d, Index own, Index r, double inverse, Index n);
// value[i] += move * column[i]
inline void move_along(double* value, const double* column, double move, Index n) {
  add_column(value, column, move, padded(n));
}

}  // namespace polytope
