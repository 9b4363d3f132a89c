// Parts of a job at once: nothing that a part throws is lost, and a thread that the system refuses is no error.
#pragma once
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace polytope {

// Calls part(0) .. part(n - 1), the first one and those that get no thread in this one; throws what one of them threw.
template <class Part>
void all_at_once(int n, const Part& part) {
  std::vector<std::exception_ptr> errors(n);
  const auto one = [&](int i) {
    try {
      part(i);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  };
  std::vector<std::thread> team;
  team.reserve(n);
  int next = 1;
  try {
    for (; next < n; ++next) team.emplace_back(one, next);
  } catch (const std::system_error&) {  // no more threads
  }
  one(0);
  for (; next < n; ++next) one(next);
  for (std::thread& t : team) t.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace polytope
