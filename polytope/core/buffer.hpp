// Arrays that grow by moving their pages, not their numbers, and whose memory can be handed over.
#pragma once
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace polytope {

// Memory of malloc; or, where `mapped` is not 0, so many bytes of pages of the system's.
struct Memory {
  void* data = nullptr;
  std::size_t mapped = 0;
};

constexpr std::size_t HUGE_PAGE = std::size_t(1) << 21;

inline void free_memory(Memory memory) noexcept {
#ifdef __linux__
  if (memory.mapped) {
    munmap(memory.data, memory.mapped);
    return;
  }
#endif
  std::free(memory.data);
}

#ifdef __linux__
// A whole number of huge pages, where the system has them: what takes time is memory that is touched for the first
// time, and it takes less in huge pages.
inline Memory mapped_pages(std::size_t bytes) {
  const auto up = [](std::size_t n) { return (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; };
  const std::size_t wanted = up(bytes), room = wanted + HUGE_PAGE;  // some of it lies at multiples of a huge page
  void* at = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  std::byte* begin = static_cast<std::byte*>(at);
  const std::size_t before = up(reinterpret_cast<std::size_t>(at)) - reinterpret_cast<std::size_t>(at);
  if (before) munmap(begin, before);
  munmap(begin + before + wanted, room - before - wanted);
  madvise(begin + before, wanted, MADV_HUGEPAGE);  // advice: what it answers makes no difference
  return {begin + before, wanted};
}
#endif

// The first `used` bytes of a memory in one of so many bytes; the old one is gone.
inline Memory grown(Memory old, std::size_t used, std::size_t bytes) {
#ifdef __linux__
  if (bytes >= 2 * HUGE_PAGE) {
    const Memory pages = mapped_pages(bytes);
    if (!old.mapped) {
      if (used) std::memcpy(pages.data, old.data, used);
      std::free(old.data);
    } else if (mremap(old.data, old.mapped, pages.mapped, MREMAP_MAYMOVE | MREMAP_FIXED, pages.data) == MAP_FAILED) {
      free_memory(pages);
      throw std::bad_alloc();
    }
    return pages;
  }
#endif
  void* moved = std::realloc(old.data, bytes);
  if (!moved) throw std::bad_alloc();
  return {moved, 0};
}

// The first `used` bytes, and no room behind where the system takes it back.
inline Memory cut(Memory memory, std::size_t used) noexcept {
  if (memory.mapped) {
#ifdef __linux__
    const std::size_t kept = (used + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (kept == 0) {
      free_memory(memory);
      return {};
    }
    if (kept < memory.mapped) munmap(static_cast<std::byte*>(memory.data) + kept, memory.mapped - kept);
    return {memory.data, kept};
#endif
  }
  if (!used) {
    std::free(memory.data);
    return {};
  }
  void* less = std::realloc(memory.data, used);
  return {less ? less : memory.data, 0};  // refused: it stays as it is
}

template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free_memory(memory_); }

  // Room for n values in all.
  void reserve(std::size_t n) {
    if (n <= room_) return;
    memory_ = grown(memory_, size_ * sizeof(T), n * sizeof(T));
    room_ = n;
  }

  // Room for n more values at the end, which the caller fills.
  T* extend(std::size_t n) {
    if (size_ + n > room_) {
      std::size_t room = room_ ? 2 * room_ : 256;
      while (room < size_ + n) room *= 2;
      reserve(room);
    }
    T* place = data() + size_;
    size_ += n;
    return place;
  }
  void push(T value) { *extend(1) = value; }
  void shrink(std::size_t n) { size_ = n; }
  std::size_t size() const { return size_; }
  T* data() { return static_cast<T*>(memory_.data); }
  const T* data() const { return static_cast<const T*>(memory_.data); }
  T& operator[](std::size_t i) { return data()[i]; }

  Memory release() {  // to be freed by the caller; cut to size
    const Memory memory = cut(memory_, size_ * sizeof(T));
    memory_ = {};
    size_ = room_ = 0;
    return memory;
  }

 private:
  Memory memory_;
  std::size_t size_ = 0, room_ = 0;
};

}  // namespace polytope
