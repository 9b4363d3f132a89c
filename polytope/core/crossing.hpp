// Steps of the crossing count in chains of dense layers and ReLU: only what a point needs.
//
// Around one point most units keep their piece. A unit that is off at all vertices adds nothing behind it: its column
// is skipped. A unit that is on at all of them is affine there, so that the vertices x + r v and x - r v share one
// product; and what it adds is the same around all points: only units that are not as at most points are added point
// by point. Matrices are row-major; weights are transposed, [n, m]. Real is float or double.
#pragma once
#include "basics.hpp"

namespace polytope {

template <class Real>
struct Matrix {
  Real* data;
  Index rows, columns;
  Real* row(Index i) const { return data + i * columns; }
};

// Pre-activations of the second layer at the vertices, out [B, 2 P, m], and how many units of the first layer cross.
// z1 [B, n], z2 [B, m]: the layers at the points. offsets [P, n]: what the directions add to the first layer.
// usual [n]: the units that are on at most points; shared [P, m]: what these add to the second layer.
// noise [B, m]: the size up to which values of the second layer are rounding: they are 0.
template <class Real>
void second_layer(Matrix<const Real> z1, Matrix<const Real> offsets, const bool* usual, Matrix<const Real> shared,
                  Matrix<const Real> noise, Matrix<const Real> weights, Matrix<const Real> z2, Real* out,
                  std::int64_t* crossed);

// Pre-activations of the next layer at the vertices, z [B, V, n] to out [B, V, m]; how many units of z cross.
template <class Real>
void next_layer(const Real* z, Index points, Index vertices, Matrix<const Real> weights, const Real* bias, Real* out,
                std::int64_t* crossed);

// How many units of z [B, V, n] and of the last layer behind it cross. Unit k of the last layer differs from its value
// at the centre by at most |w_k| max_v |h_v - h_c|, with the weights of units that are on somewhere: where that cannot
// change its sign, it is not computed at all. squares [n, m]: of the weights; slack: room for rounding, relative.
template <class Real>
void last_layer(const Real* z, Index vertices, Matrix<const Real> centre, Matrix<const Real> weights, const Real* bias,
                Matrix<const Real> squares, Matrix<const Real> next_centre, double slack, std::int64_t* crossed,
                std::int64_t* next_crossed);

// How many units take both signs over the vertices, z [B, V, n].
template <class Real>
void crossings(const Real* z, Index points, Index vertices, Index n, std::int64_t* crossed);

}  // namespace polytope
