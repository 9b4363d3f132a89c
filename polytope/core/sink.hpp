// What a search writes: a count only, or arrays of patterns, points, facets with keys, and vertices.
//
// A facet's key hashes the pattern together with the other piece of every unit that vanishes on the facet. The
// sum is symmetric: both sides get the same key.
#pragma once
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "basics.hpp"

namespace polytope {

// An array that grows by moving its pages; its memory can be handed over.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }

  // Room for n values in all, of a buffer that has none yet: in huge pages where the system has them, since what takes time
  // is memory that is touched for the first time.
  void reserve(std::size_t n) {
    constexpr std::size_t HUGE_PAGE = std::size_t(1) << 21;
    const std::size_t bytes = n * sizeof(T);
    if (data_ || bytes < 2 * HUGE_PAGE) return;
#ifdef __linux__
    const std::size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    data_ = static_cast<T*>(std::aligned_alloc(HUGE_PAGE, whole));
    if (!data_) throw std::bad_alloc();
    madvise(data_, whole, MADV_HUGEPAGE);  // advice: what it answers makes no difference
    room_ = n;
#endif
  }

  // Room for n more values at the end, which the caller fills.
  T* extend(std::size_t n) {
    if (size_ + n > room_) {
      std::size_t room = room_ ? 2 * room_ : 256;
      while (room < size_ + n) room *= 2;
      void* moved = std::realloc(data_, room * sizeof(T));
      if (!moved) throw std::bad_alloc();
      data_ = static_cast<T*>(moved);
      room_ = room;
    }
    T* place = data_ + size_;
    size_ += n;
    return place;
  }
  void push(T value) { *extend(1) = value; }
  void shrink(std::size_t n) { size_ = n; }
  std::size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }

  T* release() {  // to be freed by the caller; cut to size
    void* cut = size_ ? std::realloc(data_, size_ * sizeof(T)) : nullptr;
    if (!size_) std::free(data_);
    if (size_ && !cut) cut = data_;  // refused: it stays as it is
    data_ = nullptr;
    size_ = room_ = 0;
    return static_cast<T*>(cut);
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0, room_ = 0;
};

enum Keep : int { COUNT = 0, CELLS = 1, POINTS = 2, VERTICES = 4 };

struct Sink {
  explicit Sink(int keep) : keep(keep) {}
  bool keeps() const { return keep != COUNT; }

  // Sizes, to take back what was written since.
  using Mark = std::array<std::size_t, 11>;
  Mark mark() const {
    return {patterns.size(),   points.size(),    doubtful.size(),   n_facets.size(),
            facet_unit.size(), facet_key.size(), facet_more.size(), facet_points.size(),
            n_vertices.size(), vertices.size(),  incidences.size()};
  }
  void undo(const Mark& m) {
    patterns.shrink(m[0]);
    points.shrink(m[1]);
    doubtful.shrink(m[2]);
    n_facets.shrink(m[3]);
    facet_unit.shrink(m[4]);
    facet_key.shrink(m[5]);
    facet_more.shrink(m[6]);
    facet_points.shrink(m[7]);
    n_vertices.shrink(m[8]);
    vertices.shrink(m[9]);
    incidences.shrink(m[10]);
  }

  int keep;
  Buffer<std::uint8_t> patterns;    // one byte a unit, or eight units a byte where all labels are 0 or 1
  Buffer<double> points;            // [R, d]
  Buffer<std::uint8_t> doubtful;    // [R], whether the point may not be strictly inside
  Buffer<std::int32_t> n_facets;    // [R]
  Buffer<std::int32_t> facet_unit;  // place in the pattern, or -(row + 1)
  Buffer<Bits> facet_key;           // 0 on the domain's boundary
  Buffer<Index> facet_more;         // pairs (facet, unit): further units that vanish there
  Buffer<double> facet_points;      // [F, d]
  Buffer<std::int32_t> n_vertices;  // [R]
  Buffer<double> vertices;          // [V, d + 1], last a bound on the errors
  Buffer<Bits> incidences;          // [V, words]
};

}  // namespace polytope
