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

template <class Real>
void bind(nb::module_& m) {
  m.def("second_layer", [](In<Real> z1, In<Real> offsets, In<bool> usual, In<Real> shared, In<Real> noise,
                           In<Real> weights, In<Real> z2, Out<Real> out, Out<Index> crossed) {
    nb::gil_scoped_release free;
    second_layer(matrix(z1), matrix(offsets), usual.data(), matrix(shared), matrix(noise), matrix(weights), matrix(z2),
                 out.data(), crossed.data());
  });
  m.def("next_layer", [](In<Real> z, In<Real> weights, In<Real> bias, Out<Real> out, Out<Index> crossed) {
    nb::gil_scoped_release free;
    next_layer(z.data(), Index(z.shape(0)), Index(z.shape(1)), matrix(weights), bias.data(), out.data(),
               crossed.data());
  });
  m.def("last_layer", [](In<Real> z, In<Real> centre, In<Real> weights, In<Real> bias, In<Real> squares,
                         In<Real> next_centre, double slack, Out<Index> crossed, Out<Index> next_crossed) {
    nb::gil_scoped_release free;
    last_layer(z.data(), Index(z.shape(1)), matrix(centre), matrix(weights), bias.data(), matrix(squares),
               matrix(next_centre), slack, crossed.data(), next_crossed.data());
  });
  m.def("crossings", [](In<Real> z, Out<Index> crossed) {
    nb::gil_scoped_release free;
    crossings(z.data(), Index(z.shape(0)), Index(z.shape(1)), Index(z.shape(2)), crossed.data());
  });
}

}  // namespace

void bind_crossing(nb::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace polytope
