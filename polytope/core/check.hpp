// Refuses arrays that describe no network: what the search reads without looking is proved to lie in its arrays.
#pragma once
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "network.hpp"

namespace polytope {

constexpr Index MOST_WORDS = 1 << 20;           // 64-bit words in a vertex's set of facets
constexpr Index MOST_PIECES = 128;              // of a unit: patterns name them in a signed byte
constexpr Index MOST_NUMBER = (1LL << 31) - 2;  // that a facet can be named by

// A claim about the arrays; refused by name where it does not hold.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("These arrays describe no network: ") + what + ".");
}

template <class T>
bool never_nan(std::span<const T> numbers) {
  return std::none_of(numbers.begin(), numbers.end(), [](T x) { return std::isnan(x); });
}
inline bool all_finite(std::span<const double> numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
}

// Whether first .. first + n - 1 are places of an array of that size; none of them may be missing.
inline bool has_span(std::size_t size, Index first, Index n) {
  return first >= 0 && n >= 0 && n <= Index(size) && first <= Index(size) - n;
}
inline bool is_in(Index x, Index first, Index end) { return first <= x && x < end; }

// Whether offsets rise from 0 (layers + 1 of them) and end within an array of that size.
inline bool are_offsets(std::span<const Index> offsets, Index n, std::size_t size) {
  return Index(offsets.size()) == n + 1 && offsets[0] == 0 && std::is_sorted(offsets.begin(), offsets.end()) &&
         offsets[n] <= Index(size);
}

inline void check_sizes(const Network& net) {
  const Index L = net.layers;
  require(net.d >= 1 && L >= 1 && net.few >= 0, "its dimensions or numbers of layers are not positive");
  require(is_in(net.words, 1, MOST_WORDS + 1), "so many words make no set of facets");
  require(is_in(net.pattern_units, 0, MOST_NUMBER), "its patterns have a negative length, or too many units");
  require(are_offsets(net.unit_begin, L, net.kind.size()) && net.unit_begin[L] == net.n_units(),
          "unit_off does not divide the units into layers");
  require(are_offsets(net.pre_begin, L, std::numeric_limits<Index>::max() / (net.d + 2)),
          "pre_off does not divide the pre-activations into layers");
  require(are_offsets(net.reader_begin, L, net.reader_layer.size()), "rd_ptr does not divide the readers into layers");
  const auto of = [](std::size_t n, auto... arrays) { return ((arrays.size() == n) && ...); };
  require(of(L, net.plain, net.gamma), "plain or gamma is not of one number a layer");
  require(of(net.kind.size(), net.source, net.n_pieces, net.table, net.place),
          "src, n_seg, tab or pat has no number for a unit");
  require(of(net.reader_layer.size(), net.reader_dense, net.reader_sparse, net.reader_norm), "a reader lacks a number");
  require(of(net.n_pre(), net.alias, net.same, net.given), "alias, same or given has no number for a pre-activation");
  require(of(net.d, net.reach), "xmax is not of one number a dimension");
  require(net.domain.size() % (net.d + 1) == 0, "dom is not made of rows");
  require(net.constant.size() == std::size_t((net.d + 2) * net.n_pre()), "Z0 is not of d + 2 planes");
  require(are_offsets(net.of_begin, net.n_pre(), net.of_unit.size()), "of_ptr does not divide of_unit");
  require(!net.weights_have_errors || net.dense_error.size() >= net.dense.size(), "dense_error is too short");
}

inline void check_numbers(const Network& net) {
  for (const auto& numbers :
       {net.slope, net.intercept, net.dense, net.dense_error, net.column_value, net.domain, net.reach, net.gamma})
    require(all_finite(numbers), "a number is not finite");
  for (const auto& numbers : {net.breakpoint, net.norm, net.constant}) require(never_nan(numbers), "a number is NaN");
  require(std::isfinite(net.lost), "lost is not finite");
}

// A unit of layer q: a row of the domain in layer 0, else pieces or a maximum of pre-activations of its layer.
inline void check_unit(const Network& net, Index u, Index q) {
  const Index n = net.n_pieces[u], at = net.table[u];
  require(is_in(net.place[u], -1, net.pattern_units), "pat names no place in a pattern");
  if (net.kind[u] == DOMAIN_ROW) {
    require(q == 0, "a row of the domain stands behind the first layer");
    require(is_in(net.source[u], 0, Index(net.domain.size()) / (net.d + 1)), "src names no row of the domain");
    require(is_in(n, 0, MOST_NUMBER), "the number of a row of the domain is out of range");
    return;
  }
  require(net.kind[u] == PIECES || net.kind[u] == MAXIMUM, "kind names no kind of unit");
  require(is_in(n, 1, MOST_PIECES + 1), "a unit has no piece, or too many");
  const Index first = net.pre_begin[q], end = net.pre_begin[q + 1];
  if (net.kind[u] == PIECES) {
    for (std::size_t size : {net.slope.size(), net.intercept.size(), net.breakpoint.size(), net.label.size()})
      require(has_span(size, at, n), "tab names no pieces");
    require(is_in(net.source[u], first, end), "src names no pre-activation of the layer");
    return;
  }
  require(has_span(net.members.size(), at, n), "tab names no members");
  for (Index i = at; i < at + n; ++i) require(is_in(net.members[i], first, end), "mem names none of the layer");
}

// A layer of units that share one table of two pieces and stand in the order of its pre-activations.
inline void check_plain(const Network& net, Index q) {
  const Index u0 = net.unit_begin[q];
  require(net.width(q) > 0 && net.place[u0] >= 0, "a plain layer has no place in patterns");
  for (Index i = 0; i < net.width(q); ++i) {
    const Index u = u0 + i;
    require(net.kind[u] == PIECES && net.n_pieces[u] == 2 && net.table[u] == net.table[u0] &&
                net.source[u] == net.pre_begin[q] + i && net.place[u] == net.place[u0] + i,
            "a layer called plain is not");
  }
}

// Reader e of layer q: a column for each unit of q, in rows of a later layer.
inline void check_reader(const Network& net, Index e, Index q) {
  const Index to = net.reader_layer[e], width = net.width(q);
  require(is_in(to, q + 1, net.layers), "rd_layer names no later layer");
  const Index first = net.pre_begin[to], end = net.pre_begin[to + 1], rows = end - first;
  if (net.reader_dense[e] >= 0) {
    require(rows == 0 || width <= Index(net.dense.size()) / rows, "a dense map is cut off");
    require(has_span(net.dense.size(), net.reader_dense[e], width * rows), "rd_dense names no weights");
    require(net.weights_have_errors || has_span(net.norm.size(), net.reader_norm[e], rows), "rd_norm names no norms");
    return;
  }
  require(has_span(net.column_begin.size(), net.reader_sparse[e], width + 1), "rd_sparse names no columns");
  const auto columns = net.column_begin.subspan(net.reader_sparse[e], width + 1);
  require(std::is_sorted(columns.begin(), columns.end()) && columns.front() >= 0 &&
              columns.back() <= Index(std::min(net.column_row.size(), net.column_value.size())),
          "sp_ptr does not divide the weights into columns");
  for (Index p = columns.front(); p < columns.back(); ++p)
    require(is_in(net.column_row[p], first, end), "sp_idx names no row of the layer");
}

// Pre-activation r of layer q: what it copies comes before it, so that whoever follows copies comes to an end.
inline void check_row(const Network& net, Index r, Index q) {
  require(is_in(net.same[r], 0, r + 1), "same names a later pre-activation");
  require(is_in(net.alias[r], -1, net.unit_begin[q]) && (net.alias[r] < 0 || net.kind[net.alias[r]] != DOMAIN_ROW),
          "alias names no earlier unit");
  for (Index j = net.of_begin[r]; j < net.of_begin[r + 1]; ++j)
    require(is_in(net.of_unit[j], net.unit_begin[q], net.unit_begin[q + 1]) && net.kind[net.of_unit[j]] != DOMAIN_ROW,
            "of_unit names no unit of the layer");
}

// Throws std::invalid_argument unless a search can read the network without looking.
inline void check(const Network& net) {
  check_sizes(net);
  check_numbers(net);
  for (Index q = 0; q < net.layers; ++q) {
    for (Index u = net.unit_begin[q]; u < net.unit_begin[q + 1]; ++u) check_unit(net, u, q);
    for (Index e = net.reader_begin[q]; e < net.reader_begin[q + 1]; ++e) check_reader(net, e, q);
    for (Index r = net.pre_begin[q]; r < net.pre_begin[q + 1]; ++r) check_row(net, r, q);
    if (net.plain[q]) check_plain(net, q);
  }
}

}  // namespace polytope
