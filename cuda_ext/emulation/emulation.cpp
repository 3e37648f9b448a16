// The CUDA kernels' phases on the CPU: words in random order, on two threads at once, in memory full of rubbish. What is
// exact here is exact in any order the GPU may choose, short of what its hardware does differently.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "../cuda/workspace.hpp"

using namespace masks_gpu;

namespace {

template <class Work>
void in_random_order(int64_t count, unsigned seed, Work work) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  std::thread other([&] {
    for (int64_t k = 0; k < count / 2; ++k) work(order[static_cast<size_t>(k)]);
  });
  for (int64_t k = count / 2; k < count; ++k) work(order[static_cast<size_t>(k)]);
  other.join();
}

}  // namespace

extern "C" void emulate(const void* in, uint8_t* out, int64_t n, int32_t z, int32_t y, int32_t x, int32_t connectivity,
                        uint32_t open_faces, int32_t background, int32_t rule, uint32_t size, int32_t is_scores,
                        float threshold, uint32_t seed) {
  const Task task{{z, y, x, (x + 31) / 32, connectivity, open_faces, background}, rule, size, is_scores, threshold};
  const int64_t bytes = n * workspace_of(task.geometry, rule != all);
  // Aligned as the GPU's memory is.
  std::vector<Sixteen> memory(static_cast<size_t>(bytes / 16) + 1);
  std::memset(memory.data(), 0xa5, memory.size() * sizeof(Sixteen));
  const int64_t words = task.geometry.all_words();
  const auto run = [&](auto phase) {
    in_random_order(n * words, ++seed, [&](int64_t k) {
      phase(place_of(task, k / words, in, out, reinterpret_cast<char*>(memory.data())), task, k % words);
    });
  };
  run(pack);
  run(begin);
  run(merge);
  if (rule != all) run(measure);
  run(turn_over);
}
