// The extension polytope._core: the search as a function of arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "check.hpp"
#include "double_double.hpp"
#include "facets.hpp"
#include "inequalities.hpp"
#include "joining.hpp"
#include "matching.hpp"
#include "reduction.hpp"
#include "undecided.hpp"
#include "vertex_geometry.hpp"
#include "volume.hpp"
#include "workers.hpp"

namespace nb = nanobind;
using namespace polytope;

namespace polytope {
void bind_crossing(nb::module_& m);
}

namespace {

template <class T>
using Input = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

// Arrays by name, kept alive for as long as their numbers are read.
class Fields {
 public:
  explicit Fields(nb::handle owner) : owner_(owner) {}
  template <class T>
  std::span<const T> get(const char* name) {
    const nb::object value = owner_.attr(name);
    Input<T> array;
    if (!nb::try_cast(value, array))
      throw nb::type_error((std::string(name) + " must be an array of numbers of its kind.").c_str());
    std::span<const T> numbers(array.data(), array.size());
    kept_.push_back(nb::cast(array));
    return numbers;
  }

 private:
  nb::handle owner_;
  std::vector<nb::object> kept_;
};

Network read_network(Fields& f) {
  Network net;
  const auto par = f.get<Index>("par");
  require(par.size() == 8, "par is not of eight numbers");
  net.d = par[0];
  net.layers = par[1];
  net.words = par[2];
  net.pattern_units = par[3];
  net.early = par[4];
  net.few = par[5];
  net.weights_have_errors = par[6];
  net.binary = par[7];
  net.kind = f.get<std::int8_t>("kind");
  net.label = f.get<std::int8_t>("label");
  net.source = f.get<Index>("src");
  net.n_pieces = f.get<Index>("n_seg");
  net.table = f.get<Index>("tab");
  net.members = f.get<Index>("mem");
  net.place = f.get<Index>("pat");
  net.slope = f.get<double>("slope");
  net.intercept = f.get<double>("icept");
  net.breakpoint = f.get<double>("brk");
  net.pre_begin = f.get<Index>("pre_off");
  net.unit_begin = f.get<Index>("unit_off");
  net.reader_begin = f.get<Index>("rd_ptr");
  net.plain = f.get<Index>("plain");
  net.gamma = f.get<double>("gamma");
  net.reader_layer = f.get<Index>("rd_layer");
  net.reader_dense = f.get<Index>("rd_dense");
  net.reader_sparse = f.get<Index>("rd_sparse");
  net.reader_norm = f.get<Index>("rd_norm");
  net.column_begin = f.get<Index>("sp_ptr");
  net.column_row = f.get<Index>("sp_idx");
  net.dense = f.get<double>("dense");
  net.dense_error = f.get<double>("dense_error");
  net.column_value = f.get<double>("sp_val");
  net.norm = f.get<double>("norm");
  net.alias = f.get<Index>("alias");
  net.same = f.get<Index>("same");
  net.given = f.get<Index>("given");
  net.of_begin = f.get<Index>("of_ptr");
  net.of_unit = f.get<Index>("of_unit");
  net.domain = f.get<double>("dom");
  net.reach = f.get<double>("xmax");
  const auto lost = f.get<double>("lost");
  require(lost.size() == 1, "lost is not one number");
  net.lost = lost[0];
  net.constant = f.get<double>("Z0");
  check(net);
  return net;
}

// The first cell: planes of its vertices, their facets, and where these come from.
struct Root {
  Cell cell;
  std::vector<double> x;
  std::vector<Bits> sets;
  std::vector<Index> slots;
  std::vector<Facet> facets;
};

// Whether the vertices of a first cell have facets: in the plane edges, else d slots each that name facets.
bool has_facets(const Network& net, const Root& root, Index n) {
  const Index F = Index(root.facets.size());
  const auto names_one = [F](Index facet) { return is_in(facet, 0, F); };
  if (net.d == 2) return n >= 3 && std::all_of(root.slots.begin(), root.slots.end(), names_one);
  if (net.d == 1 && n != 2) return false;
  for (Index i = 0; i < n; ++i) {
    Index count = 0;
    for (Index q = 0; q < net.words; ++q)
      for (Bits bits = root.sets[q * n + i]; bits; bits &= bits - 1, ++count)
        if (!names_one(root.slots[slot_of(q, bits)])) return false;
    if (count != net.d) return false;
  }
  return true;
}

Root read_root(const Network& net, const Input<double>& planes, const Input<Index>& incidence,
               const Input<Index>& rec_i, const Input<double>& rec_f) {
  Root root;
  const Index d = net.d, n = Index(planes.size()) / (d + 1);
  require(d <= MOST_DIMENSIONS, "vertices are kept in 1 to 12 dimensions");
  require(n > 0 && Index(planes.size()) == (d + 1) * n, "planes has no vertices");
  require(Index(incidence.size()) == (d == 2 ? n : net.words * (n + 64)), "incidence is not of its vertices");
  require(rec_i.ndim() == 2 && rec_i.shape(1) == 7 && rec_f.ndim() == 2 && Index(rec_f.shape(1)) == d + 4 &&
              rec_f.shape(0) == rec_i.shape(0),
          "the facets of the first cell are not rows of 7 and d + 4 numbers");
  require(all_finite({planes.data(), planes.size()}), "a vertex is not finite");
  require(never_nan(std::span(rec_f.data(), rec_f.size())), "a facet is NaN");
  root.x.assign(planes.data(), planes.data() + planes.size());
  root.x.resize(root.x.size() + BLOCK);  // read in blocks
  const Index sets = d == 2 ? 0 : net.words * n;
  root.sets.assign(incidence.data(), incidence.data() + sets);
  root.slots.assign(incidence.data() + sets, incidence.data() + incidence.size());
  for (std::size_t i = 0; i < rec_i.shape(0); ++i) {
    const Index* r = rec_i.data() + 7 * i;
    const double* g = rec_f.data() + (d + 4) * i;
    require(is_in(r[0], -MOST_NUMBER, 0), "a facet of the first cell is no row of the domain");
    Facet facet{r[0], r[1], r[2], {r[5], r[6], g[d + 2]}, r[3], r[4], {}};
    std::copy_n(g, d + 1, facet.row.g);
    facet.row.error = g[d + 1];
    facet.row.fixed = g[d + 3];
    root.facets.push_back(facet);
  }
  require(has_facets(net, root, n), "a vertex of the first cell does not lie on d facets");
  root.cell = {n, root.x.data(), root.sets.data(), root.slots.data(), true};
  return root;
}

class AskPython : public ExactSigns {
 public:
  explicit AskPython(nb::object ask) : ask_(std::move(ask)) {}
  double value(const std::vector<Name>& facets, const Name& row, const AffineMaps& maps) override {
    nb::gil_scoped_acquire gil;
    nb::list through;
    for (const Name& f : facets) through.append(nb::make_tuple(f.a, f.b, f.breakpoint));
    std::size_t shape[1] = {maps.piece.size()};
    nb::ndarray<nb::numpy, const Index> pieces(maps.piece.data(), 1, shape, nb::handle());
    const nb::object answer = ask_(through, nb::make_tuple(row.a, row.b, row.breakpoint), nb::cast(pieces));
    double value = 0;
    if (!nb::try_cast(answer, value) || std::isnan(value)) throw nb::value_error("exact must give a number.");
    return value;
  }

 private:
  nb::object ask_;
};

// A numpy copy of numbers.
template <class T>
nb::object copied(const T* from, std::vector<std::size_t> shape) {
  std::size_t n = 1;
  for (std::size_t k : shape) n *= k;
  T* data = new T[n ? n : 1];
  std::copy_n(from, n, data);
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner));
}

// Lets Python build and search the network of a cell's undecided units.
class ReduceInPython : public Reducer {
 public:
  explicit ReduceInPython(nb::object reduce) : reduce_(std::move(reduce)) {}

  Index count(const VertexGeometry& geometry, const Cell& cell, const std::vector<Index>& given,
              const std::vector<Index>& ends, Index layer) override {
    const State& s = geometry.state;
    const Network& net = s.net;
    std::vector<Index> units = given;
    const std::size_t n = units.size();
    std::vector<double> weights, errors;
    if (!net.weights_have_errors) {  // of a reduced network, Python keeps the weights and eliminates units in them
      gather(net, units, ends);
      weights.assign(n * n, 0.0);
      errors.assign(n * n, 0.0);
      geometry.reduction().columns(units, ends, weights.data(), errors.data());
    }
    nb::gil_scoped_acquire gil;
    nb::dict view;
    view["units"] = copied(units.data(), {n});
    view["ends"] = copied(ends.data(), {ends.size()});
    view["layer"] = layer;
    view["pieces"] = copied(s.maps.piece.data(), {s.maps.piece.size()});
    std::vector<double> Z;
    for (Index t = 0; t < net.d + 2; ++t)
      for (Index u : units) Z.push_back(s.maps.at(t, net.source[u]));
    view["maps"] = copied(Z.data(), {std::size_t(net.d + 2), n});
    view["planes"] = copied(cell.x, {std::size_t(3 * cell.n)});
    view["edges"] = copied(cell.facets, {std::size_t(cell.n)});
    std::vector<Index> rec_i;
    std::vector<double> rec_f;
    for (const Facet& f : s.facets) {
      for (Index x : {f.unit, f.below, f.above, f.root_a, f.root_b, f.name.a, f.name.b}) rec_i.push_back(x);
      rec_f.insert(rec_f.end(), f.row.g, f.row.g + net.d + 1);
      rec_f.push_back(f.row.error);
      rec_f.push_back(f.name.breakpoint);
      rec_f.push_back(f.row.fixed);
    }
    view["rec_i"] = copied(rec_i.data(), {s.facets.size(), 7});
    view["rec_f"] = copied(rec_f.data(), {s.facets.size(), std::size_t(net.d + 4)});
    if (!weights.empty() || (n == 0 && !net.weights_have_errors)) {
      view["weights"] = copied(weights.data(), {n, n});
      view["errors"] = copied(errors.data(), {n, n});
    }
    return nb::cast<Index>(reduce_(view));
  }

 private:
  // Sort the units of each layer by the first row that reads them: columns found together overlap then.
  static void gather(const Network& net, std::vector<Index>& units, const std::vector<Index>& ends) {
    for (Index q = 0; q < net.layers; ++q) {
      const Index i = q ? ends[q - 1] : 0, j = ends[q], e = net.reader_begin[q];
      if (i == j || e == net.reader_begin[q + 1] || net.reader_sparse[e] < 0) continue;
      const Index* begin = net.column_begin.data() + net.reader_sparse[e] - net.unit_begin[q];
      const Index last = Index(net.column_row.size()) - 1;
      std::stable_sort(units.begin() + i, units.begin() + j, [&](Index a, Index b) {
        return net.column_row[std::min(begin[a], last)] < net.column_row[std::min(begin[b], last)];
      });
    }
  }

  nb::object reduce_;
};

// A numpy array that owns the memory of a buffer.
template <class T>
nb::object array_of(Buffer<T>& buffer, std::vector<std::size_t> shape) {
  auto memory = std::make_unique<Memory>(buffer.release());
  T* data = static_cast<T*>(memory->data);
  nb::capsule owner(memory.release(), [](void* p) noexcept {
    const std::unique_ptr<Memory> kept(static_cast<Memory*>(p));
    free_memory(*kept);
  });
  return nb::cast(nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner));
}

nb::dict arrays(Result& result, const Network& net, int keep) {
  const auto cells = [](const Done& d) { return d.begin.cells; };
  const auto cells_end = [](const Done& d) { return d.end.cells; };
  const auto facets = [](const Done& d) { return d.begin.facets; };
  const auto facets_end = [](const Done& d) { return d.end.facets; };
  const auto more = [](const Done& d) { return d.begin.more; };
  const auto more_end = [](const Done& d) { return d.end.more; };
  const std::size_t d = net.d, words = net.words;
  const auto vertices = [d](const Done& t) { return t.vertices_begin / (d + 1); };
  const auto vertices_end = [d](const Done& t) { return t.vertices_end / (d + 1); };
  const std::size_t bytes = net.binary ? (net.pattern_units + 7) / 8 : net.pattern_units;
  std::size_t R = 0, at = 0;
  for (const Done& done : result.done) {  // facets are numbered within their worker's sink so far
    R += done.end.cells - done.begin.cells;
    auto& numbers = result.sinks[done.worker]->facet_more;
    for (std::size_t i = done.begin.more; i < done.end.more; ++i)
      numbers[2 * i] += Index(at) - Index(done.begin.facets);
    at += done.end.facets - done.begin.facets;
  }
  nb::dict out;
  auto patterns = joined(result, &Sink::patterns, bytes, cells, cells_end);
  auto points = joined(result, &Sink::points, d, cells, cells_end);
  auto doubtful = joined(result, &Sink::doubtful, 1, cells, cells_end);
  auto n_facets = joined(result, &Sink::n_facets, 1, cells, cells_end);
  auto units = joined(result, &Sink::facet_unit, 1, facets, facets_end);
  auto keys = joined(result, &Sink::facet_key, 1, facets, facets_end);
  auto further = joined(result, &Sink::facet_more, 2, more, more_end);
  const std::size_t F = units.size();
  out["patterns"] = array_of(patterns, {R, bytes});
  out["points"] = array_of(points, {R, d});
  out["doubtful"] = array_of(doubtful, {R});
  out["n_facets"] = array_of(n_facets, {R});
  out["facet_units"] = array_of(units, {F});
  out["facet_keys"] = array_of(keys, {keys.size()});
  const std::size_t n_more = further.size() / 2;
  out["facet_more"] = array_of(further, {n_more, 2});
  if (keep & POINTS) {
    auto p = joined(result, &Sink::facet_points, d, facets, facets_end);
    out["facet_points"] = array_of(p, {F, d});
  }
  if (keep & VERTICES) {
    auto n = joined(result, &Sink::n_vertices, 1, cells, cells_end);
    auto x = joined(result, &Sink::vertices, d + 1, vertices, vertices_end);
    auto sets = joined(result, &Sink::incidences, words, vertices, vertices_end);
    const std::size_t V = x.size() / (d + 1);
    out["n_vertices"] = array_of(n, {R});
    out["vertices"] = array_of(x, {V, d + 1});
    out["incidences"] = array_of(sets, {V, words});
  }
  return out;
}

nb::tuple as_tuple(const Path& path) {
  nb::list steps;
  for (Index step : path) steps.append(step);
  return nb::tuple(steps);
}

// What a search left, as Python reads it.
void add_left(nb::dict& out, const Result& result) {
  nb::list done, untouched;
  Index regions = 0;
  for (const Done& d : result.done) {
    regions += d.regions;
    nb::list left;
    for (const Left& l : d.left) left.append(nb::make_tuple(l.whole, as_tuple(l.path), l.layer, l.crossings, l.found));
    done.append(nb::make_tuple(d.task.layer, d.task.crossings, d.regions, left));
  }
  for (const Task& t : result.untouched) untouched.append(nb::make_tuple(as_tuple(t.path), t.layer, t.crossings));
  out["regions"] = regions;
  out["done"] = done;
  out["untouched"] = untouched;
  out["lost"] = result.lost;
}

constexpr int MOST_WORKERS = 4096;

// What a search is asked for.
void check_request(int keep, int workers) {
  if (keep != COUNT && keep != CELLS && keep != (CELLS | POINTS) && keep != (CELLS | POINTS | VERTICES))
    throw nb::value_error("keep must be 0, 1, 3 or 7.");
  if (!is_in(workers, 1, MOST_WORKERS + 1)) throw nb::value_error("workers must be 1 to 4096.");
}

// Limits of a search, and whom to ask now and then whether to go on.
class Limits {
 public:
  Limits(Index most, double seconds, nb::object attend) : attend_(std::move(attend)) {
    control.most = most;
    control.seconds = seconds;
    control.stop = seconds <= 0;
  }
  bool look() {
    nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals()) throw nb::python_error();
    return attend_.is_none() || nb::cast<bool>(attend_(control.found.load()));
  }
  Control control;

 private:
  nb::object attend_;
};

// Cases of rows of the last layer, one after the other.
class Flat {
 public:
  Flat(const Network& net, const std::vector<std::vector<Index>>& cases) {
    const Index rows = net.layers > 1 ? net.pre_begin[net.layers] - net.pre_begin[net.layers - 1] : 0;
    for (const std::vector<Index>& rows_of : cases) {
      for (Index row : rows_of) {
        require(is_in(row, 0, rows), "a case names a row that the last layer does not have");
        row_.push_back(row);
      }
      begin_.push_back(Index(row_.size()));
    }
  }
  Cases cases() const { return {begin_, row_}; }

 private:
  std::vector<Index> begin_{0}, row_;
};

nb::dict explore(nb::object network, Input<double> planes, Input<Index> incidence, Input<Index> rec_i,
                 Input<double> rec_f, int keep, std::vector<std::vector<Index>> paths, Index most, double seconds,
                 int workers, std::vector<std::vector<Index>> cases, nb::object exact, nb::object reduce,
                 nb::object attend) {
  check_request(keep, workers);
  Fields fields(network);
  const Network net = read_network(fields);
  const Flat flat(net, cases);
  const Root root = read_root(net, planes, incidence, rec_i, rec_f);
  Limits limits(most, seconds, attend);
  AskPython ask(exact);
  ReduceInPython reducer(reduce);
  double margin = 0x1p20;
  Index n_exact = 0, n_left_out = 0;
  bool crowded = false;
  Result result;
  {
    nb::gil_scoped_release free;
    Team<VertexGeometry> team(
        [&](Sink& sink) {
          auto geometry = std::make_unique<VertexGeometry>(net, sink, limits.control, ask, reducer);
          if (cases.empty())
            geometry->own = std::make_unique<Undecided>(geometry->state, reducer);
          else if (!net.early)
            geometry->sought = std::make_unique<Sought>(geometry->state, flat.cases());
          return geometry;
        },
        [&](VertexGeometry& geometry, Search<VertexGeometry>& search) {
          geometry.state.facets = root.facets;
          search.start(root.cell, 0, net.width(0));
        },
        [&](const VertexGeometry& geometry) {
          margin = std::min(margin, geometry.state.margin);
          n_exact += geometry.state.n_exact;
          n_left_out += geometry.n_left_out;
          crowded |= geometry.crowded;
        },
        keep, limits.control);
    result = team.run(paths, workers, [&] { return limits.look(); });
  }
  nb::dict out = arrays(result, net, keep);
  add_left(out, result);
  out["margin"] = margin;
  out["exact"] = n_exact;
  out["crowded"] = crowded;
  out["left_out"] = n_left_out;
  return out;
}

class AskPythonCells : public ExactCells {
 public:
  AskPythonCells(nb::object ask, Index d) : ask_(std::move(ask)), d_(d) {}
  Answer signs(const std::vector<std::pair<int, Name>>& rows, const std::vector<Index>& tight, const Question& question,
               const AffineMaps& maps) override {
    nb::gil_scoped_acquire gil;
    nb::list table, numbers;
    for (const auto& [sign, n] : rows) table.append(nb::make_tuple(sign, n.a, n.b, n.breakpoint));
    for (Index i : tight) numbers.append(i);
    std::size_t shape[1] = {maps.piece.size()};
    nb::ndarray<nb::numpy, const Index> pieces(maps.piece.data(), 1, shape, nb::handle());
    const Name& n = question.name;
    const nb::object said =
        ask_(table, numbers, nb::make_tuple(n.a, n.b, n.breakpoint), question.both, question.known, nb::cast(pieces));
    std::tuple<int, std::vector<double>, std::vector<double>> answer;
    const auto& [signs, below, above] = answer;
    const auto is_point = [this](const std::vector<double>& x) { return Index(x.size()) == d_ && all_finite(x); };
    if (!nb::try_cast(said, answer) || !is_in(signs, NONE, BOTH + 1) ||
        (question.both && signs == BOTH && !(is_point(below) && is_point(above))))
      throw nb::value_error("exact must give a set of signs and points in both parts.");
    return {signs, below, above};
  }

 private:
  nb::object ask_;
  const Index d_;
};

// The most rows that a cell can have besides those of the box: one for each breakpoint, member and row of the domain.
Index most_rows(const Network& net) {
  Index total = 0;
  for (Index u = 0; u < net.n_units(); ++u)
    total += net.kind[u] == PIECES ? net.n_pieces[u] - 1 : net.kind[u] == MAXIMUM ? net.n_pieces[u] : 1;
  return total + 1;
}

void check_root(const LpRoot& root, Index d) {
  for (const auto& x : {root.low, root.high, root.center}) {
    require(Index(x.size()) == d, "the first cell is not of so many dimensions");
    require(all_finite(x), "the first cell is not finite");
  }
  for (Index face : root.faces) require(is_in(face, -MOST_NUMBER, 0), "faces names no row of the domain");
}

nb::dict explore_lp(nb::object network, std::vector<double> low, std::vector<double> high, std::vector<double> center,
                    std::vector<Index> faces, int keep, std::vector<std::vector<Index>> paths, Index most,
                    double seconds, int workers, bool floats, nb::object exact, nb::object attend) {
  check_request(keep, workers);
  if (keep > CELLS) throw nb::value_error("Cells of inequalities keep no points of facets and no vertices.");
  Fields fields(network);
  Network net = read_network(fields);
  net.early = false;  // is of vertices only
  const LpRoot root{low, high, center, faces};
  check_root(root, net.d);
  Limits limits(most, seconds, attend);
  AskPythonCells ask(exact, net.d);
  LpTally tally;
  Index pivots = 0;
  Result result;
  {
    nb::gil_scoped_release free;
    Team<InequalityGeometry> team(
        [&](Sink& sink) {
          return std::make_unique<InequalityGeometry>(net, sink, limits.control, ask, root, most_rows(net), floats);
        },
        [&](InequalityGeometry& geometry, Search<InequalityGeometry>& search) {
          std::vector<Index> rows(net.width(0));
          for (Index i = 0; i < net.width(0); ++i) rows[i] = i;
          const Inequalities cell = geometry.root_cell(rows.data(), net.width(0));
          search.start(cell, 0, 0);
        },
        [&](const InequalityGeometry& geometry) {
          const LpTally& t = geometry.tally;
          pivots += geometry.effort.pivots;
          for (auto [sum, n] : {std::pair{&tally.programs, t.programs},
                                {&tally.ball, t.ball},
                                {&tally.points, t.points},
                                {&tally.multipliers, t.multipliers},
                                {&tally.bare, t.bare},
                                {&tally.exact, t.exact},
                                {&tally.uncentered, t.uncentered}})
            *sum += n;
        },
        keep, limits.control);
    result = team.run(paths, workers, [&] { return limits.look(); });
  }
  nb::dict out = arrays(result, net, keep), how;
  add_left(out, result);
  how["programs"] = tally.programs;
  how["pivots"] = pivots;
  how["ball"] = tally.ball;
  how["points"] = tally.points;
  how["multipliers"] = tally.multipliers;
  how["bare"] = tally.bare;
  how["exact"] = tally.exact;
  how["uncentered"] = tally.uncentered;
  out["statistics"] = how;
  return out;
}

// The pairs of cells (or of facets) with one key, [E, 2], and how many keys are in no pair.
nb::tuple match_keys(Input<Bits> keys, Input<Index> begin, bool places, int workers) {
  check_request(COUNT, workers);
  const Index cells = Index(begin.size()) - 1;
  if (cells < 0 || Index(keys.size()) > MOST_NUMBER || cells > MOST_NUMBER ||
      !are_offsets({begin.data(), begin.size()}, cells, keys.size()))
    throw nb::value_error("begin must say where each cell's facets begin among the keys, at most 2^31.");
  Matched found;
  {
    nb::gil_scoped_release free;
    found = match(keys.data(), begin.data(), cells, places, workers);
  }
  const std::size_t n = found.pairs.size() / 2;
  return nb::make_tuple(array_of(found.pairs, {n, 2}), found.odd);
}

// Cells by vertices [V, d], sets of facets [V, words], and where each cell's vertices and facets begin.
void check_cells(const Input<Index>& vertex_begin, const Input<double>& vertices, const Input<Bits>& incidences,
                 const Input<Index>& facet_begin) {
  const auto n = Index(vertex_begin.size()) - 1;
  const Index* facets = facet_begin.data();
  bool right = n >= 0 && vertices.ndim() == 2 && vertices.shape(1) > 0 && incidences.ndim() == 2 &&
               incidences.shape(0) == vertices.shape(0) &&
               are_offsets({vertex_begin.data(), vertex_begin.size()}, n, vertices.shape(0)) &&
               are_offsets({facets, facet_begin.size()}, n, std::size_t(std::numeric_limits<Index>::max()));
  for (Index i = 0; right && i < n; ++i) {
    right = facets[i + 1] - facets[i] <= Index(64 * incidences.shape(1));
    right &= vertex_begin.data()[i] < vertex_begin.data()[i + 1];
  }
  if (!right) throw nb::value_error("These arrays describe no cells by vertices and facets.");
}

// The volume of every cell, and a proved bound on how far it is off.
nb::tuple cell_volumes(Input<Index> vertex_begin, Input<double> vertices, Input<double> errors, Input<Bits> incidences,
                       Input<Index> facet_begin) {
  check_cells(vertex_begin, vertices, incidences, facet_begin);
  if (errors.ndim() != 2 || errors.shape(0) != vertices.shape(0) || errors.shape(1) != vertices.shape(1))
    throw nb::value_error("errors must have the shape of vertices.");
  const std::size_t cells = vertex_begin.size() - 1;
  std::vector<double> out(cells), off(cells);
  {
    nb::gil_scoped_release free;
    volumes(vertex_begin.data(), facet_begin.data(), vertices.data(), errors.data(), incidences.data(), Index(cells),
            Index(vertices.shape(1)), Index(incidences.shape(1)), out.data(), off.data());
  }
  return nb::make_tuple(copied(out.data(), {cells}), copied(off.data(), {cells}));
}

// The (d - 1)-volume of every facet that is wanted; 0 for others.
nb::object wanted_facet_volumes(Input<Index> vertex_begin, Input<double> vertices, Input<Bits> incidences,
                                Input<Index> facet_begin, Input<bool> wanted) {
  check_cells(vertex_begin, vertices, incidences, facet_begin);
  if (Index(wanted.size()) != facet_begin.data()[facet_begin.size() - 1])
    throw nb::value_error("wanted must have a place for every facet.");
  std::vector<double> out(wanted.size(), 0.0);
  {
    nb::gil_scoped_release free;
    facet_volumes(vertex_begin.data(), facet_begin.data(), vertices.data(), incidences.data(),
                  Index(vertex_begin.size()) - 1, Index(vertices.shape(1)), Index(incidences.shape(1)), wanted.data(),
                  out.data());
  }
  return copied(out.data(), {out.size()});
}

// By how much rows [m, d + 1] can be exceeded, where, and what holds them: (state, value, points, multipliers).
nb::tuple propose_facets(Input<double> rows, Input<Index> wanted, double reach) {
  if (rows.ndim() != 2 || rows.shape(1) < 2) throw nb::value_error("rows must be [m, d + 1].");
  const std::size_t m = rows.shape(0), d = rows.shape(1) - 1, k = wanted.size();
  for (std::size_t i = 0; i < k; ++i)
    if (!is_in(wanted.data()[i], 0, Index(m))) throw nb::value_error("wanted names no row.");
  Proposals p;
  {
    nb::gil_scoped_release free;
    p = propose(rows.data(), Index(m), Index(d), wanted.data(), Index(k), reach);
  }
  return nb::make_tuple(copied(p.state.data(), {k}), copied(p.value.data(), {k}), copied(p.points.data(), {k, d}),
                        copied(p.multipliers.data(), {k, m}));
}

bool are_pieces(const Network& net, const Input<Index>& pieces) {
  if (Index(pieces.size()) != net.n_units()) return false;
  for (Index u = 0; u < net.n_units(); ++u)
    if (net.kind[u] != DOMAIN_ROW && !is_in(pieces.data()[u], 0, net.n_pieces[u])) return false;
  return true;
}

// [d + 1, 3]: high and low part of every number of z_a - z_b (-1: zero), and the size of its terms.
nb::object double_row(nb::object network, Index a, Index b, Input<Index> pieces) {
  Fields fields(network);
  const Network net = read_network(fields);
  require(is_in(a, -1, net.n_pre()) && is_in(b, -1, net.n_pre()), "the row is of no pre-activations");
  require(are_pieces(net, pieces), "pieces does not name a piece of every unit");
  std::vector<Sized> weights(net.n_pre());
  for (auto [r, sign] : {std::pair{a, 1.0}, std::pair{b, -1.0}}) {
    if (r < 0) continue;
    weights[r].high += sign;
    weights[r].size += 1;
  }
  const std::vector<Sized> row = pull_back(net, pieces.data(), std::move(weights));
  std::vector<double> out;
  for (const Sized& x : row) out.insert(out.end(), {x.high, x.low, x.size});
  return copied(out.data(), {row.size(), 3});
}

// The affine function of a unit on a piece, without what depends on the cell, [d + 3]; last error and size.
nb::object unit_form(nb::object network, Index unit, Index piece) {
  Fields fields(network);
  const Network net = read_network(fields);
  require(is_in(unit, 0, net.n_units()) && net.kind[unit] != DOMAIN_ROW && is_in(piece, 0, net.n_pieces[unit]),
          "there is no such piece of a unit");
  AffineMaps maps(net);
  maps.piece[unit] = piece;
  std::vector<double> c(net.d + 3, 0.0);
  Form h{c.data(), 0, 0};
  maps.unit_form(unit, h);
  c[net.d + 1] = h.error;
  c[net.d + 2] = h.size;
  return copied(c.data(), {c.size()});
}

// The value of row g where rows f and e of the plane meet, all six floats each (three pairs); None if unknown.
nb::object planar_value(const std::vector<double>& g, const std::vector<double>& f, const std::vector<double>& e) {
  if (g.size() != 6 || f.size() != 6 || e.size() != 6) throw nb::value_error("Three rows of six numbers.");
  const auto row = [](const std::vector<double>& x) { return ExactRow2{{{x[0], x[1]}, {x[2], x[3]}, {x[4], x[5]}}}; };
  double value;
  return exact_value(row(g), row(f), row(e), value) ? nb::cast(value) : nb::none();
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "The native core of polytope: one search over cells, with exact signs.";
  m.def("explore", &explore, nb::arg("network"), nb::arg("planes"), nb::arg("incidence"), nb::arg("rec_i"),
        nb::arg("rec_f"), nb::kw_only(), nb::arg("keep"), nb::arg("paths"), nb::arg("most"), nb::arg("seconds"),
        nb::arg("workers"), nb::arg("cases") = std::vector<std::vector<Index>>(), nb::arg("exact"),
        nb::arg("reduce").none(), nb::arg("attend").none());
  m.def("match", &match_keys, nb::arg("keys"), nb::arg("begin"), nb::arg("places"), nb::arg("workers"));
  m.def("volumes", &cell_volumes, nb::arg("vertex_begin"), nb::arg("vertices"), nb::arg("errors"),
        nb::arg("incidences"), nb::arg("facet_begin"));
  m.def("facet_volumes", &wanted_facet_volumes, nb::arg("vertex_begin"), nb::arg("vertices"), nb::arg("incidences"),
        nb::arg("facet_begin"), nb::arg("wanted"));
  m.def("propose_facets", &propose_facets, nb::arg("rows"), nb::arg("wanted"), nb::arg("reach"));
  m.def("double_row", &double_row, nb::arg("network"), nb::arg("a"), nb::arg("b"), nb::arg("pieces"));
  m.def("explore_lp", &explore_lp, nb::arg("network"), nb::arg("low"), nb::arg("high"), nb::arg("center"),
        nb::arg("faces"), nb::kw_only(), nb::arg("keep"), nb::arg("paths"), nb::arg("most"), nb::arg("seconds"),
        nb::arg("workers"), nb::arg("floats") = true, nb::arg("exact"), nb::arg("attend").none());
  bind_crossing(m);
  m.def("unit_form", &unit_form, nb::arg("network"), nb::arg("unit"), nb::arg("piece"));
  m.def("planar_value", &planar_value, nb::arg("g"), nb::arg("f"), nb::arg("e"));
}
