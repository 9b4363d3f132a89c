// What a search writes: a count only, or arrays of patterns, points, facets with keys, and vertices.
//
// A facet's key hashes the pattern together with the other piece of every unit that vanishes on the facet. The
// sum is symmetric: both sides get the same key.
#pragma once
#include <array>

#include "basics.hpp"
#include "buffer.hpp"

namespace polytope {

enum Keep : int { COUNT = 0, CELLS = 1, POINTS = 2, VERTICES = 4 };

struct Sink {
  explicit Sink(int keep) : keep(keep) {}
  bool keeps() const { return keep != COUNT; }

  // Sizes, to take back what was written since.
  using Mark = std::array<std::size_t, 11>;
  Mark mark() const {
    return {patterns.size(),   points.size(),    doubtful.size(),   n_facets.size(),
            facet_unit.size(), facet_key.size(), facet_more.size(), facet_points.size(),
            n_vertices.size(), vertices.size(),  incidences.size()};
  }
  void undo(const Mark& m) {
    patterns.shrink(m[0]);
    points.shrink(m[1]);
    doubtful.shrink(m[2]);
    n_facets.shrink(m[3]);
    facet_unit.shrink(m[4]);
    facet_key.shrink(m[5]);
    facet_more.shrink(m[6]);
    facet_points.shrink(m[7]);
    n_vertices.shrink(m[8]);
    vertices.shrink(m[9]);
    incidences.shrink(m[10]);
  }

  int keep;
  Buffer<std::uint8_t> patterns;    // one byte a unit, or eight units a byte where all labels are 0 or 1
  Buffer<double> points;            // [R, d]
  Buffer<std::uint8_t> doubtful;    // [R], whether the point may not be strictly inside
  Buffer<std::int32_t> n_facets;    // [R]
  Buffer<std::int32_t> facet_unit;  // place in the pattern, or -(row + 1)
  Buffer<Bits> facet_key;           // 0 on the domain's boundary
  Buffer<Index> facet_more;         // pairs (facet, unit): further units that vanish there
  Buffer<double> facet_points;      // [F, d]
  Buffer<std::int32_t> n_vertices;  // [R]
  Buffer<double> vertices;          // [V, d + 1], last a bound on the errors
  Buffer<Bits> incidences;          // [V, words]
};

}  // namespace polytope
