// Functions compiled for several instruction sets, of which the machine at hand chooses when the module is loaded.
// With glibc, that is: other systems do not choose. Elsewhere, and on arm64, there is one version.
#pragma once
#include <cstddef>  // says whether this is glibc

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(POLYTOPE_SANITIZE)
#define POLYTOPE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define POLYTOPE_CLONES
#endif

namespace polytope {

// Whether registers hold eight numbers.
[[gnu::always_inline]] inline bool wide() {
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(POLYTOPE_SANITIZE)
  return __builtin_cpu_supports("avx512vl");
#elif defined(__AVX512F__)
  return true;
#else
  return false;
#endif
}

}  // namespace polytope
