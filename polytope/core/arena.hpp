// Memory as a stack: cells and lists of a branch lie on top and go when it is left. Addresses stay valid.
#pragma once
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "basics.hpp"

namespace polytope {

class Arena {
 public:
  struct Mark {
    std::size_t block, used;
  };

  // Room for n values that are not initialised, on a cache line of its own; a line behind may be read, too.
  template <class T>
  T* take(std::size_t n) {
    static_assert(std::is_trivially_destructible_v<T>);
    const std::size_t bytes = (n * sizeof(T) + LINE - 1) / LINE * LINE;
    if (blocks_.empty() || used_ + bytes > blocks_[current_].size) next_block(bytes);
    std::byte* place = blocks_[current_].start() + used_;
    used_ += bytes;
    return reinterpret_cast<T*>(place);
  }

  Mark mark() const { return {current_, used_}; }
  void release(Mark mark) {
    current_ = mark.block;
    used_ = mark.used;
  }

 private:
  static constexpr std::size_t LINE = 64, FIRST = std::size_t(1) << 18;
  struct Block {
    std::unique_ptr<std::byte[]> memory;
    std::size_t size;
    std::byte* start() const {
      const auto at = reinterpret_cast<std::uintptr_t>(memory.get());
      return memory.get() + (LINE - at % LINE) % LINE;
    }
  };

  void next_block(std::size_t bytes) {
    while (!blocks_.empty() && current_ + 1 < blocks_.size()) {
      ++current_;
      used_ = 0;
      if (bytes <= blocks_[current_].size) return;
    }
    std::size_t size = blocks_.empty() ? FIRST : 2 * blocks_.back().size;
    while (size < bytes) size *= 2;
    blocks_.push_back({std::unique_ptr<std::byte[]>(new std::byte[size + 2 * LINE]), size});
    current_ = blocks_.size() - 1;
    used_ = 0;
  }

  std::vector<Block> blocks_;
  std::size_t current_ = 0, used_ = 0;
};

}  // namespace polytope
