// How far the running thread's stack goes: the search recurses, and ends with an error before it runs off the end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__linux__) || defined(__APPLE__)
#include <pthread.h>
#include <sys/resource.h>
#elif defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#endif

namespace polytope {

struct OutOfStack : std::bad_alloc {
  const char* what() const noexcept override {
    return "The search is deeper than the stack of its thread: give it a larger one (ulimit -s, threading.stack_size).";
  }
};

class Stack {
 public:
  Stack() : last_(end() + RESERVE) {}

  // Throws where the stack of the thread that made this comes to its end.
  void check() const {
    if (here() < last_) throw OutOfStack();
  }

 private:
  static constexpr std::uintptr_t RESERVE = 160 << 10;  // for what is called: exact arithmetic in Python
  static constexpr std::uintptr_t USUAL = 512 << 10;    // the smallest stack that threads have by default

  static std::uintptr_t here() {
#if defined(__GNUC__)
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#else
    volatile char local = 0;
    return reinterpret_cast<std::uintptr_t>(&local);
#endif
  }

#if defined(__GLIBC__)
  // What the system says of it, after it has read the list of all mappings for a program's first thread; or 0.
  static std::uintptr_t asked() {
    pthread_attr_t attributes;
    void* low = nullptr;
    std::size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    return reinterpret_cast<std::uintptr_t>(low);
  }
#endif

  // The lowest address of the running thread's stack; stacks grow downwards.
  static std::uintptr_t end() {
#if defined(__GLIBC__)
    // That takes milliseconds, more than a small search: the answer holds for a thread until the limit changes.
    static thread_local std::uintptr_t low = 0;
    static thread_local rlim_t limit = 0;
    rlimit now{};
    const bool told = getrlimit(RLIMIT_STACK, &now) == 0;
    if (!told || !low || limit != now.rlim_cur) low = asked();
    limit = now.rlim_cur;
    if (low) return low;
#elif defined(__APPLE__)
    const pthread_t self = pthread_self();
    return reinterpret_cast<std::uintptr_t>(pthread_get_stackaddr_np(self)) - pthread_get_stacksize_np(self);
#elif defined(_WIN32)
    ULONG_PTR low, high;
    GetCurrentThreadStackLimits(&low, &high);
    return low;
#endif
    return here() - USUAL;
  }

  std::uintptr_t last_;
};

}  // namespace polytope
