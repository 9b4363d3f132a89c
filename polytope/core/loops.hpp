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

}  // namespace polytope
