// Several searches at once: workers take branches from a queue, and give some away while others wait.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "search.hpp"

namespace polytope {

// Sizes of a sink's buffers: where what a task wrote begins or ends.
struct Sizes {
  std::size_t cells, facets, more;
};

inline Sizes sizes_of(const Sink& s) { return {s.n_facets.size(), s.facet_unit.size(), s.facet_more.size() / 2}; }

// A branch of the search. What a task gives away is named by its own place and a number that falls, so it comes
// after the task's own cells and before what was given away earlier.
struct Task {
  std::vector<Index> place;
  Path path;
  Index layer = -1, crossings = 0;  // of its cell, where known
};

// What a task did: where its cells lie in its worker's sink, how many regions it found, what it left.
struct Done {
  Task task;
  int worker;
  Sizes begin, end;
  std::size_t vertices_begin, vertices_end;  // numbers of coordinates
  Index regions;
  std::vector<Left> left;
};

struct Result {
  std::vector<std::unique_ptr<Sink>> sinks;
  std::vector<Done> done;       // in the order of the search
  std::vector<Task> untouched;  // tasks that nobody began
  bool lost = false;
};

// make(sink) gives a worker its geometry; begin(geometry, search) starts the search from the root cell; tell(geometry)
// is called with each at the end.
template <class Geometry>
class Team {
 public:
  using Make = std::function<std::unique_ptr<Geometry>(Sink&)>;
  using Begin = std::function<void(Geometry&, Search<Geometry>&)>;
  using Tell = std::function<void(const Geometry&)>;

  Team(Make make, Begin begin, Tell tell, int keep, Control& control)
      : make_(std::move(make)), begin_(std::move(begin)), tell_(std::move(tell)), keep_(keep), control_(control) {}

  Result run(const std::vector<Path>& paths, int workers, const std::function<bool()>& attend) {
    for (std::size_t i = 0; i < paths.size(); ++i) tasks_.push_back({{Index(i)}, paths[i], -1, 0});
    for (int w = 0; w < workers; ++w) result_.sinks.push_back(std::make_unique<Sink>(keep_));
    if (workers == 1) {
      control_.attend = attend;
      work(0, false);
    } else {
      std::vector<std::thread> team;
      start(team, workers);
      if (team.empty()) {  // not even one more thread: this one does it
        running_ = 1;
        control_.attend = attend;
        work(0, false);
      }
      std::unique_lock lock(mutex_);
      while (running_ > 0) {
        ended_.wait_for(lock, std::chrono::milliseconds(20));
        lock.unlock();
        ask(attend);
        lock.lock();
      }
      lock.unlock();
      for (std::thread& thread : team) thread.join();
    }
    if (error_) std::rethrow_exception(error_);
    std::sort(result_.done.begin(), result_.done.end(),
              [](const Done& a, const Done& b) { return a.task.place < b.task.place; });
    result_.untouched.assign(tasks_.begin(), tasks_.end());
    return std::move(result_);
  }

 private:
  // As many threads as are wanted, or as the system has to give.
  void start(std::vector<std::thread>& team, int workers) {
    team.reserve(workers);
    running_ = workers;
    for (int w = 0; w < workers; ++w) try {
        team.emplace_back([this, w] { work(w, true); });
      } catch (const std::system_error&) {
        std::lock_guard lock(mutex_);
        running_ -= workers - w;
        return;
      }
  }

  // What attend throws (an interrupt) stops the workers first, and is thrown again when all have ended.
  void ask(const std::function<bool()>& attend) {
    try {
      if (attend && !control_.stop && !attend()) stop();
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr error) {
    stop();
    std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }

  void stop() {
    std::lock_guard lock(mutex_);
    control_.stop = true;
    changed_.notify_all();
  }

  void work(int worker, bool sharing) {
    try {
      const std::unique_ptr<Geometry> geometry = make_(*result_.sinks[worker]);
      Search<Geometry> search(*geometry, control_);
      Task task;
      while (next(task)) {
        Index given = 0;
        if (sharing)
          search.give = [&](Given g) {
            std::lock_guard lock(mutex_);
            std::vector<Index> place = task.place;
            place.push_back(-++given);
            tasks_.push_back({std::move(place), std::move(g.path), g.layer, g.crossings});
            control_.idle = std::max(0, waiting_ - int(tasks_.size()));
            changed_.notify_one();
          };
        one(*geometry, search, worker, task);
      }
      std::lock_guard lock(mutex_);
      result_.lost |= search.lost;
      tell_(*geometry);
    } catch (...) {
      fail(std::current_exception());
    }
    std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_one();
  }

  void one(Geometry& geometry, Search<Geometry>& search, int worker, Task& task) {
    Sink& sink = *result_.sinks[worker];
    const Sizes begin = sizes_of(sink);
    const std::size_t vertices = sink.vertices.size();
    const Index before = search.watch.regions;
    search.left.clear();
    search.run([&](Search<Geometry>& it) { begin_(geometry, it); }, task.path);
    search.watch.tell();
    std::lock_guard lock(mutex_);
    result_.done.push_back({task, worker, begin, sizes_of(sink), vertices, sink.vertices.size(),
                            search.watch.regions - before, std::move(search.left)});
    --busy_;
    changed_.notify_all();
  }

  // The next task; waits for one as long as others may still give something away.
  bool next(Task& task) {
    std::unique_lock lock(mutex_);
    ++waiting_;
    while (tasks_.empty() && busy_ && !control_.stop) {
      control_.idle = std::max(0, waiting_ - int(tasks_.size()));
      changed_.wait(lock);
    }
    --waiting_;
    control_.idle = std::max(0, waiting_ - int(tasks_.size()));
    if (tasks_.empty() || control_.stop) return false;
    ++busy_;
    task = std::move(tasks_.front());
    tasks_.pop_front();
    return true;
  }

  const Make make_;
  const Begin begin_;
  const Tell tell_;
  const int keep_;
  Control& control_;

  std::mutex mutex_;
  std::condition_variable changed_, ended_;  // for workers; for who started them
  std::deque<Task> tasks_;
  int waiting_ = 0, busy_ = 0, running_ = 0;
  Result result_;
  std::exception_ptr error_;
};

}  // namespace polytope
