// A network as plain arrays: layers of units, each with the column of weights with which later layers read it.
//
// Layer 0 is made of rows of the domain, of which one side is kept. Every array is owned by the caller
// (polytope/core/flat_network.py says what is in it) and outlives the search.
#pragma once
#include <span>

#include "basics.hpp"

namespace polytope {

enum UnitKind : std::int8_t { PIECES = 0, MAXIMUM = 1, DOMAIN_ROW = 2 };

struct Network {
  template <class T>
  using Array = std::span<const T>;

  Index d = 0, layers = 0, words = 1, pattern_units = 0, few = 0;
  bool early = false, weights_have_errors = false, binary = false;
  double lost = 0;  // more than an operation can lose by underflow, as an error of a value in the domain

  // units: kind, pre-activation (or row of the domain), number of pieces, start in the tables, place in patterns
  Array<std::int8_t> kind, label;
  Array<Index> source, n_pieces, table, members, place;
  Array<Index> id;  // numbers in the given network, where this is a part of one (undecided.hpp)
  Array<double> slope, intercept, breakpoint;
  // layers: where pre-activations, units and readers start; whether all units share one table of two pieces
  Array<Index> pre_begin, unit_begin, reader_begin, plain;
  Array<double> gamma;
  // readers: layer, where the columns start (dense or sparse, else -1), where the norms of the rows start
  Array<Index> reader_layer, reader_dense, reader_sparse, reader_norm, column_begin, column_row;
  Array<double> dense, dense_error, column_value, norm;
  // pre-activations: the unit that one copies, the first equal one, whether it reads the input alone, its units
  Array<Index> alias, same, given, of_begin, of_unit;
  Array<double> domain;    // [rows, d + 1], a.x + c <= 0
  Array<double> reach;     // [d], the largest absolute coordinates in the domain
  Array<double> constant;  // [d + 2, pre-activations]: what does not depend on the cell; last an error bound

  Index n_pre() const { return pre_begin[layers]; }
  Index n_units() const { return Index(kind.size()); }
  Index width(Index layer) const { return unit_begin[layer + 1] - unit_begin[layer]; }
  // What a unit on a piece adds to the hash of a region, and to the key of a facet behind which it is on that piece.
  Bits code(Index u, Index piece) const { return mix(id.empty() ? u : id[u], piece); }
  Bits code_across(Index u, Index piece) const { return across(id.empty() ? u : id[u], piece); }
  double farthest() const {
    double most = 0;
    for (double x : reach) most = std::max(most, x);
    return most;
  }
};

}  // namespace polytope
