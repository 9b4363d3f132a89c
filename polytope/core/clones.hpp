// Functions compiled for several instruction sets, of which the machine at hand chooses when the module is loaded.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(POLYTOPE_SANITIZE)
#define POLYTOPE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define POLYTOPE_CLONES
#endif
