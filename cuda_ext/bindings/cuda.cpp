// The CUDA kernels as a Python module. Its one caller is napari_medsam.engine.masks.cuda_masks, which owns the memory.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "../cuda/kernels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t>;

masks_gpu::Geometry geometry_of(const Shape& shape) {
  masks_gpu::Geometry g{};
  g.z = static_cast<int32_t>(std::get<1>(shape));
  g.y = static_cast<int32_t>(std::get<2>(shape));
  g.x = static_cast<int32_t>(std::get<3>(shape));
  g.words = (g.x + 31) / 32;
  return g;
}

// Bytes to work in, or 0 for masks too large to number.
int64_t workspace(const Shape& shape, bool is_sized) {
  const masks_gpu::Geometry g = geometry_of(shape);
  return masks_gpu::fits(g) ? std::get<0>(shape) * masks_gpu::workspace_of(g, is_sized) : 0;
}

// The device of the tensors, made current for as long as this lives.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    error = cudaGetDevice(&before_);
    if (!error && before_ != device) error = cudaSetDevice(device);
  }
  ~OnDevice() {
    if (!error) cudaSetDevice(before_);
  }
  cudaError_t error;

 private:
  int before_ = 0;
};

// Returns what went wrong, or nothing.
std::string clean(uintptr_t in, uintptr_t out, uintptr_t memory, const Shape& shape, bool is_scores, float threshold,
                  bool background, int connectivity, unsigned open_faces, int rule, uint32_t size, int device,
                  uintptr_t stream) {
  masks_gpu::Task task{};
  task.geometry = geometry_of(shape);
  task.geometry.background = background;
  task.geometry.connectivity = connectivity;
  task.geometry.open_faces = open_faces;
  task.rule = rule;
  task.size = size;
  task.is_scores = is_scores;
  task.threshold = threshold;
  nb::gil_scoped_release release;
  const OnDevice there(device);
  const cudaError_t error =
      there.error ? there.error
                  : masks_gpu::clean(task, std::get<0>(shape), reinterpret_cast<const void*>(in),
                                     reinterpret_cast<uint8_t*>(out), reinterpret_cast<char*>(memory),
                                     reinterpret_cast<cudaStream_t>(stream));
  return error ? cudaGetErrorString(error) : "";
}

// How many there are, and why there are none.
std::tuple<int, std::string> devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  return {error ? 0 : count, error ? cudaGetErrorString(error) : "none was found"};
}

}  // namespace

NB_MODULE(_cuda, m) {
  m.def("workspace", &workspace, "shape"_a, "is_sized"_a);
  m.def("clean", &clean, "mask"_a, "out"_a, "workspace"_a, "shape"_a, "is_scores"_a, "threshold"_a, "background"_a,
        "connectivity"_a, "open_faces"_a, "rule"_a, "size"_a, "device"_a, "stream"_a);
  m.def("devices", &devices);
}
