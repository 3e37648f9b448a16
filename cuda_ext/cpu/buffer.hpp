// A growing array of plain numbers that is never initialised and grows by realloc, which moves pages instead of bytes.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace masks {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  // Room for this many more, so that a row can be appended without looking at the capacity again.
  void make_room(size_t more) {
    if (size_ + more > capacity_) grow(size_ + more);
  }
  void append(T value) {
    make_room(1);
    data_[size_++] = value;
  }
  void resize(size_t size) {
    if (size > capacity_) grow(size);
    size_ = size;
  }
  // Gives back what is above.
  void shrink(size_t size) {
    size_ = size;
    void* moved = std::realloc(data_, std::max<size_t>(size, 1) * sizeof(T));
    if (!moved) return;
    data_ = static_cast<T*>(moved);
    capacity_ = std::max<size_t>(size, 1);
  }
  size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  void grow(size_t needed) {
    size_t capacity = capacity_ + capacity_ / 2;
    if (capacity < needed) capacity = needed;
    void* moved = std::realloc(data_, capacity * sizeof(T));
    if (!moved) throw std::bad_alloc();
    data_ = static_cast<T*>(moved);
    capacity_ = capacity;
  }
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  T* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

}  // namespace masks
