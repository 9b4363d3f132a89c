// Affine functions of one row between which a unit stays while its rows stay between ends.
#pragma once
#include "network.hpp"

namespace polytope {

struct Enclosed {  // lines over one row, from below and above, and how far the unit can be from each
  Index row;
  double slope[2], constant[2], gap[2] = {0, 0};
};

// Of the chord and of the pieces at both ends, the slope that is best in the middle; constants by the corners.
inline bool enclose_pieces(const Network& net, const double* lows, const double* highs, Index u, Enclosed& out) {
  const Index at = net.table[u], n = net.n_pieces[u];
  out.row = net.source[u];
  const double low = lows[out.row], high = highs[out.row];
  if (!(low <= high)) return false;
  Index s = 0;
  while (s < n - 1 && low > net.breakpoint[at + s]) ++s;
  Index e = s;
  while (e < n - 1 && !(high < net.breakpoint[at + e])) ++e;
  if (s == e) {
    for (int side = 0; side < 2; ++side) {
      out.slope[side] = net.slope[at + s];
      out.constant[side] = net.intercept[at + s];
    }
    return true;
  }
  if (!(high - low < INF)) return false;
  const auto value = [&](Index p, double z) { return net.slope[at + p] * z + net.intercept[at + p]; };
  const double chord = high > low ? (value(e, high) - value(s, low)) / (high - low) : 0;
  const double middle = 0.5 * low + 0.5 * high;
  double best[2] = {-INF, INF};
  for (double slope : {chord, net.slope[at + s], net.slope[at + e]}) {
    double ends[2] = {INF, -INF};
    const auto corner = [&](Index p, double z) {
      const double h = value(p, z), y = h - slope * z;
      const double size = std::fabs(h) + std::fabs(net.intercept[at + p]) + std::fabs(slope * z);
      const double off = 0x1p-50 * size + net.lost;
      ends[0] = std::min(ends[0], y - off);
      ends[1] = std::max(ends[1], y + off);
    };
    corner(s, low);
    corner(e, high);
    for (Index p = s; p < e; ++p) {
      corner(p, net.breakpoint[at + p]);
      corner(p + 1, net.breakpoint[at + p]);
    }
    for (int side = 0; side < 2; ++side) {
      const double here = slope * middle + ends[side];
      if (side ? !(here < best[1]) : !(here > best[0])) continue;
      best[side] = here;
      out.slope[side] = slope;
      out.constant[side] = ends[side];
      out.gap[side] = ends[1] - ends[0];
    }
  }
  return best[0] > -INF && best[1] < INF;
}

// At least the member that is surely large; at most the largest that any can be.
inline bool enclose_maximum(const Network& net, const double* lows, const double* highs, Index u, Enclosed& out) {
  const Index* members = net.members.data() + net.table[u];
  const Index n = net.n_pieces[u];
  Index best = members[0];
  for (Index p = 1; p < n; ++p)
    if (lows[members[p]] > lows[best]) best = members[p];
  double most = highs[best];
  bool alone = true;
  for (Index p = 0; p < n; ++p) {
    most = std::max(most, highs[members[p]]);
    alone &= members[p] == best || highs[members[p]] <= lows[best];
  }
  out = {best, {1, alone ? 1.0 : 0.0}, {0, alone ? 0.0 : most}};
  if (!alone) out.gap[0] = out.gap[1] = most - lows[best];
  return lows[best] > -INF && most < INF;
}

}  // namespace polytope
