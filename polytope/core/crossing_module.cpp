// The steps of the crossing count as functions of numpy arrays of float32 or float64.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "crossing.hpp"

namespace nb = nanobind;

namespace polytope {
namespace {

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

template <class Real>
Matrix<const Real> matrix(const In<Real>& a) {
  return {a.data(), Index(a.shape(0)), Index(a.shape(1))};
}

// Whether an array has this shape.
template <class Array, class... Sizes>
bool is(const Array& a, Sizes... sizes) {
  const std::size_t shape[] = {std::size_t(sizes)...};
  if (a.ndim() != sizeof...(sizes)) return false;
  for (std::size_t i = 0; i < sizeof...(sizes); ++i)
    if (a.shape(i) != shape[i]) return false;
  return true;
}

void require(bool fits) {
  if (!fits) throw nb::value_error("The arrays of a layer do not fit each other.");
}

template <class Real>
void call_second_layer(In<Real> z1, In<Real> offsets, In<bool> usual, In<Real> shared, In<Real> noise, In<Real> weights,
                       In<Real> z2, Out<Real> out, Out<Index> crossed) {
  require(z1.ndim() == 2 && offsets.ndim() == 2 && weights.ndim() == 2);
  const std::size_t B = z1.shape(0), P = offsets.shape(0), n = weights.shape(0), m = weights.shape(1);
  require(is(z1, B, n) && is(offsets, P, n) && is(usual, n) && is(shared, P, m) && is(noise, B, m) && is(z2, B, m) &&
          is(out, B, 2 * P, m) && is(crossed, B));
  nb::gil_scoped_release free;
  second_layer(matrix(z1), matrix(offsets), usual.data(), matrix(shared), matrix(noise), matrix(weights), matrix(z2),
               out.data(), crossed.data());
}

template <class Real>
void call_next_layer(In<Real> z, In<Real> weights, In<Real> bias, Out<Real> out, Out<Index> crossed) {
  require(z.ndim() == 3 && weights.ndim() == 2);
  const std::size_t B = z.shape(0), V = z.shape(1), n = weights.shape(0), m = weights.shape(1);
  require(is(z, B, V, n) && is(bias, m) && is(out, B, V, m) && is(crossed, B));
  nb::gil_scoped_release free;
  next_layer(z.data(), Index(B), Index(V), matrix(weights), bias.data(), out.data(), crossed.data());
}

template <class Real>
void call_last_layer(In<Real> z, In<Real> centre, In<Real> weights, In<Real> bias, In<Real> squares,
                     In<Real> next_centre, double slack, Out<Index> crossed, Out<Index> next_crossed) {
  require(z.ndim() == 3 && weights.ndim() == 2);
  const std::size_t B = z.shape(0), V = z.shape(1), n = weights.shape(0), m = weights.shape(1);
  require(is(z, B, V, n) && is(centre, B, n) && is(bias, m) && is(squares, n, m) && is(next_centre, B, m) &&
          is(crossed, B) && is(next_crossed, B));
  nb::gil_scoped_release free;
  last_layer(z.data(), Index(V), matrix(centre), matrix(weights), bias.data(), matrix(squares), matrix(next_centre),
             slack, crossed.data(), next_crossed.data());
}

template <class Real>
void call_crossings(In<Real> z, Out<Index> crossed) {
  require(z.ndim() == 3 && is(crossed, z.shape(0)));
  nb::gil_scoped_release free;
  crossings(z.data(), Index(z.shape(0)), Index(z.shape(1)), Index(z.shape(2)), crossed.data());
}

template <class Real>
void bind(nb::module_& m) {
  m.def("second_layer", &call_second_layer<Real>, nb::arg("z1"), nb::arg("offsets"), nb::arg("usual"),
        nb::arg("shared"), nb::arg("noise"), nb::arg("weights"), nb::arg("z2"), nb::arg("out").noconvert(),
        nb::arg("crossed").noconvert());
  m.def("next_layer", &call_next_layer<Real>, nb::arg("z"), nb::arg("weights"), nb::arg("bias"),
        nb::arg("out").noconvert(), nb::arg("crossed").noconvert());
  m.def("last_layer", &call_last_layer<Real>, nb::arg("z"), nb::arg("centre"), nb::arg("weights"), nb::arg("bias"),
        nb::arg("squares"), nb::arg("next_centre"), nb::arg("slack"), nb::arg("crossed").noconvert(),
        nb::arg("next_crossed").noconvert());
  m.def("crossings", &call_crossings<Real>, nb::arg("z"), nb::arg("crossed").noconvert());
}

}  // namespace

void bind_crossing(nb::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace polytope
