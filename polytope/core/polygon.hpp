// Cutting polygons: vertices in order, each edge names its facet.
#pragma once
#include "cell.hpp"

namespace polytope {

constexpr double LEAST_DETERMINANT = 0x1p-900;  // smaller ones are not trusted

// A bound on the error of the crossing (x, y) of two facets, from its residuals r on both rows l and g:
// |error| <= (|r_l| |g| + |r_g| |l|) / |det(l, g)|, for rows whose slopes may be off by error / X and error / Y.
inline double crossing_error(const Network& net, const Row& l, const Row& g, double x, double y) {
  const double X = net.reach[0], Y = net.reach[1], cap = 2 * std::max(X, Y);
  const double p = l.g[0] * g.g[1], q = l.g[1] * g.g[0];
  const auto steep = [&](const Row& r) { return std::fabs(r.g[0]) * X + std::fabs(r.g[1]) * Y; };
  // X Y times the least determinant that the true rows can have
  double det = (std::fabs(p - q) - 8 * U * (std::fabs(p) + std::fabs(q))) * X * Y - LEAST_DETERMINANT;
  det -= 1.0001 * (g.error * steep(l) + l.error * steep(g) + 2 * l.error * g.error);
  if (!(det > 0)) return cap;
  const auto residual = [&](const Row& r) {
    return std::fabs(r.g[0] * x + r.g[1] * y + r.g[2]) + r.error + 4 * U * (steep(r) + std::fabs(r.g[2]));
  };
  const double rl = residual(l), rg = residual(g);
  const double ex = rl * (std::fabs(g.g[1]) * Y + g.error) + rg * (std::fabs(l.g[1]) * Y + l.error);
  const double ey = rl * (std::fabs(g.g[0]) * X + g.error) + rg * (std::fabs(l.g[0]) * X + l.error);
  const double error = std::max(ex * X, ey * Y) / det * 1.0001 + U * std::max(X, Y);
  return error < cap ? error : cap;
}

// Both sides of a polygon along the zero set of the values v: first v <= 0, then v >= 0.
inline void cut_polygon(const Network& net, const std::vector<Facet>& facets, Arena& arena, const Cell& c,
                        const double* v, Index cutting, Cell child[2]) {
  struct Vertex {
    double x, y, error;
  };
  Vertex crossing[2];  // from below to above, and back
  const Index k = c.n;
  for (int side = 0; side < 2; ++side) {
    const double sign = side ? -1 : 1;
    Index n = 0;
    for (Index a = 0; a < k; ++a) {
      const Index b = a + 1 < k ? a + 1 : 0;
      const double va = sign * v[a], vb = sign * v[b];
      n += (va <= 0) + ((va < 0 && vb > 0) || (va > 0 && vb < 0));
    }
    Cell& o = child[side];
    o = {n, arena.take<double>(3 * n), nullptr, arena.take<Index>(n), true};
    Index i = 0;
    for (Index a = 0; a < k; ++a) {
      const Index b = a + 1 < k ? a + 1 : 0;
      const double va = sign * v[a], vb = sign * v[b];
      if (va <= 0) {
        for (Index t = 0; t < 3; ++t) o.x[t * n + i] = c.x[t * k + a];
        o.facets[i++] = va == 0 && vb > 0 ? cutting : c.facets[a];
      }
      if (!((va < 0 && vb > 0) || (va > 0 && vb < 0))) continue;
      Vertex& w = crossing[v[a] < 0 ? 0 : 1];
      if (side == 0) {
        const double q = va / (va - vb);
        w.x = c.x[a] + q * (c.x[b] - c.x[a]);
        w.y = c.x[k + a] + q * (c.x[k + b] - c.x[k + a]);
        w.error = crossing_error(net, facets[c.facets[a]].row, facets[cutting].row, w.x, w.y);
      }
      o.x[i] = w.x;
      o.x[n + i] = w.y;
      o.x[2 * n + i] = w.error;
      o.facets[i++] = va < 0 ? cutting : c.facets[a];
    }
  }
}

}  // namespace polytope
