// The GPU's way into the kernels, for code that is not compiled by nvcc.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "workspace.hpp"

namespace masks_gpu {

// Cleans n masks on a stream of the current device, without waiting for it. Returns the first launch's error.
cudaError_t clean(const Task& task, int64_t n, const void* in, uint8_t* out, char* workspace, cudaStream_t stream);

}  // namespace masks_gpu
