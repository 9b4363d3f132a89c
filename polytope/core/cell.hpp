// A cell by its vertices, the facets that its vertices lie on, and the rows that are decided on it.
#pragma once
#include <vector>

#include "arena.hpp"
#include "maps.hpp"

namespace polytope {

// The affine function of a row: z_a - z_b (b >= 0), z_a - breakpoint (b = -1), or row a of the domain (b = -2).
struct Name {
  Index a, b;
  double breakpoint;
};

struct Row {
  double g[MOST_DIMENSIONS + 1] = {};  // coefficients, then the constant
  double error = 0;                    // bound on the error of its value anywhere in the domain
  double fixed = 0, per_error = 0;     // of a value computed at a vertex: fixed + per_error * the vertex's own error
  double size = 0;                     // of its terms in the domain
};

// Where a cell was cut: the unit and its pieces on both sides, or -(number + 1) for a row of the domain.
struct Facet {
  Index unit, below, above;
  Name name;
  Index root_a, root_b;  // the first pre-activations that the members copy; -1 zero, -2 a row of the domain
  Row row;
};

// A further unit whose breakpoint between two pieces contains a facet.
struct Touch {
  Index facet, unit, below, above;
};

// n vertices: planes x[t * n + i] of coordinates, x[d * n + i] bounds on their errors.
//
// In the plane the vertices are in order and facets[i] is the edge from vertex i to the next. Otherwise each
// vertex has a set of slots, bit s of sets[q * n + i] for slot 64 q + s, and facets[slot] names the facet.
struct Cell {
  Index n;
  double* x;
  Bits* sets;
  Index* facets;
  bool simple;  // every vertex lies on d facets exactly
};

inline Index slot_of(Index word, Bits bits) { return 64 * word + std::countr_zero(bits); }

}  // namespace polytope
