#include "kernels.hpp"

namespace masks_gpu {
namespace {

constexpr int threads = 256;
// A mask of no more words than this is one block's work from start to end: a whole batch in one launch.
constexpr int64_t small = 2048;

using Phase = void (*)(const Place&, const Task&, int64_t);

template <Phase phase>
__global__ void __launch_bounds__(threads) over_words(Task task, const void* in, uint8_t* out, char* workspace) {
  const int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x;
  if (i < task.geometry.all_words()) phase(place_of(task, blockIdx.y, in, out, workspace), task, i);
}

template <Phase phase>
__device__ void in_block(const Place& at, const Task& task) {
  for (int64_t i = threadIdx.x; i < task.geometry.all_words(); i += threads) phase(at, task, i);
  __syncthreads();
}

__global__ void __launch_bounds__(threads) whole_masks(Task task, const void* in, uint8_t* out, char* workspace) {
  __shared__ uint32_t bits[small];
  Place at = place_of(task, blockIdx.x, in, out, workspace);
  at.bits = bits;
  in_block<pack>(at, task);
  in_block<begin>(at, task);
  in_block<merge>(at, task);
  if (task.rule != all) in_block<measure>(at, task);
  in_block<turn_over>(at, task);
}

template <Phase phase>
cudaError_t launch(const Task& task, int64_t n, const void* in, uint8_t* out, char* workspace, cudaStream_t stream) {
  const unsigned blocks = static_cast<unsigned>((task.geometry.all_words() + threads - 1) / threads);
  constexpr int64_t most = 65535;  // of a grid along y
  const int64_t voxels = task.geometry.voxels(), step = workspace_of(task.geometry, task.rule != all);
  for (int64_t first = 0; first < n; first += most) {
    const unsigned count = static_cast<unsigned>(n - first < most ? n - first : most);
    const char* from = static_cast<const char*>(in) + first * voxels * (task.is_scores ? 4 : 1);
    over_words<phase><<<dim3(blocks, count), threads, 0, stream>>>(task, from, out + first * voxels, workspace + first * step);
    if (const cudaError_t error = cudaGetLastError()) return error;
  }
  return cudaSuccess;
}

}  // namespace

cudaError_t clean(const Task& task, int64_t n, const void* in, uint8_t* out, char* workspace, cudaStream_t stream) {
  if (task.geometry.all_words() <= small) {
    whole_masks<<<static_cast<unsigned>(n), threads, 0, stream>>>(task, in, out, workspace);
    return cudaGetLastError();
  }
  cudaError_t error = launch<pack>(task, n, in, out, workspace, stream);
  if (!error) error = launch<begin>(task, n, in, out, workspace, stream);
  if (!error) error = launch<merge>(task, n, in, out, workspace, stream);
  if (!error && task.rule != all) error = launch<measure>(task, n, in, out, workspace, stream);
  if (!error) error = launch<turn_over>(task, n, in, out, workspace, stream);
  return error;
}

}  // namespace masks_gpu
