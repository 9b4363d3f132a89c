// When to stop, and whom to tell: looked at every few splits of a search.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>

#include "basics.hpp"

namespace polytope {

using Clock = std::chrono::steady_clock;

// Shared by all workers of a search.
struct Control {
  std::atomic<bool> stop = false;
  std::atomic<Index> found = 0;  // regions, as far as workers have said
  std::atomic<int> idle = 0;     // workers that wait for a branch
  Index most = std::numeric_limits<Index>::max();
  double seconds = INF;  // from the start
  Clock::time_point start = Clock::now();
  std::function<bool()> attend;  // asked now and then: false stops the search (signals, memory, progress)

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start).count(); }
};

// What one worker keeps of it.
class Watch {
 public:
  explicit Watch(Control& control) : control_(control) {}

  // Whether a split may still be made.
  bool go_on() {
    if (control_.stop.load(std::memory_order_relaxed)) return false;
    if (++splits_ >= every_) look();
    return !control_.stop.load(std::memory_order_relaxed);
  }

  // The same after something slow: the clock is looked at.
  bool go_on_now() {
    look();
    return !control_.stop.load(std::memory_order_relaxed);
  }

  // A region was found; the search stops at the last one that is wanted.
  void count(Index n) {
    regions += n;
    if (regions - told_ >= left_) tell();
  }
  // Whether n more regions would be more than are wanted.
  bool too_many(Index n) {
    if (regions - told_ + n > left_) tell();
    return regions - told_ + n > left_;
  }
  void tell() {
    const Index all = control_.found.fetch_add(regions - told_) + (regions - told_);
    told_ = regions;
    left_ = control_.most > all ? control_.most - all : 0;
    if (left_ == 0) control_.stop = true;
  }
  bool wanted() const { return control_.idle.load(std::memory_order_relaxed) > 0; }

  Index regions = 0;

 private:
  void look() {
    const double now = control_.elapsed();
    if (now >= control_.seconds) control_.stop = true;
    every_ = now - last_ > 0.004 ? std::max<Index>(every_ / 2, 1) : std::min<Index>(2 * every_, 64);
    last_ = now;
    splits_ = 0;
    if (now < next_ && regions - seen_ < 1024) return;
    next_ = now + 0.05;
    seen_ = regions;
    tell();
    if (control_.attend && !control_.attend()) control_.stop = true;
  }

  Control& control_;
  Index splits_ = 0, every_ = 1, told_ = 0, left_ = 0, seen_ = 0;
  double next_ = 0, last_ = 0;
};

}  // namespace polytope
