// What the tasks of a search wrote, one after the other in one array.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "threads.hpp"
#include "workers.hpp"

namespace polytope {

template <class T>
struct Piece {  // n numbers to be copied
  const T* from;
  T* to;
  std::size_t n;
};

// Copies all pieces, each of several threads as many numbers.
template <class T>
void copy_at_once(const std::vector<Piece<T>>& pieces, int workers) {
  constexpr std::size_t WORTH = std::size_t(1) << 20;  // bytes; fewer are copied sooner than a thread is started
  std::size_t total = 0;
  for (const Piece<T>& p : pieces) total += p.n;
  const std::size_t team = total * sizeof(T) < WORTH ? 1 : workers;
  all_at_once(int(team), [&](int w) {
    std::size_t before = total * w / team, left = total * (w + 1) / team - before;
    for (const Piece<T>& p : pieces) {
      const std::size_t skipped = std::min(before, p.n), n = std::min(left, p.n - skipped);
      if (n) std::memcpy(p.to + skipped, p.from + skipped, n * sizeof(T));
      before -= skipped;
      left -= n;
    }
  });
}

// Copies some of the pieces out of the way, into what is returned; that is where they are from then on.
template <class T>
Buffer<T> put_aside(std::vector<Piece<T>>& pieces, const std::vector<std::size_t>& which, int workers) {
  std::size_t total = 0;
  for (std::size_t i : which) total += pieces[i].n;
  Buffer<T> out;
  out.reserve(total);
  std::vector<Piece<T>> copied;
  for (std::size_t i : which) {
    Piece<T>& p = pieces[i];
    copied.push_back({p.from, out.extend(p.n), p.n});
    p.from = copied.back().to;
  }
  copy_at_once(copied, workers);
  return out;
}

// The part of a buffer that each task wrote, in the order of the tasks; nothing of a buffer that is not filled. It is
// the buffer of the first task's worker, grown, in which that task's part stays: what takes time is memory that is
// touched for the first time.
template <class T, class Begin, class End>
Buffer<T> joined(Result& result, Buffer<T> Sink::* field, std::size_t width, Begin begin, End end) {
  if (result.done.empty()) return {};
  const int workers = int(result.sinks.size()), first = result.done[0].worker;
  Buffer<T>& base = (*result.sinks[first]).*field;
  std::vector<Piece<T>> moved;           // what does not stay where it is
  std::vector<std::size_t> places, own;  // of the moved ones in the array; which of them lie in the way
  std::size_t total = 0, kept = 0;
  for (const Done& d : result.done) {
    const Buffer<T>& from = (*result.sinks[d.worker]).*field;
    const std::size_t at = begin(d) * width, n = from.size() ? end(d) * width - at : 0;
    if (n && d.worker == first && at == total) {
      kept = at + n;
    } else if (n) {
      moved.push_back({from.data() + at, nullptr, n});
      places.push_back(total);
      if (d.worker == first) own.push_back(moved.size() - 1);
    }
    total += n;
  }
  const Buffer<T> aside = put_aside(moved, own, workers);
  base.shrink(kept);
  base.reserve(total);
  base.extend(total - kept);
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i].to = base.data() + places[i];
  copy_at_once(moved, workers);
  Buffer<T> out = std::move(base);
  for (const std::unique_ptr<Sink>& sink : result.sinks) (*sink).*field = Buffer<T>();
  return out;
}

}  // namespace polytope
