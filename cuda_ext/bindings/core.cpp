// The C++ kernels as a Python module. Its one caller is napari_medsam.engine.masks, which has checked what users can get
// wrong; what is checked again here is what would write outside an array.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>

#include "../cpu/operations.hpp"
#include "../cpu/processor.hpp"
#include "../cpu/thread_pool.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Read = nb::ndarray<nb::ro, nb::ndim<4>, nb::device::cpu>;
using Write = nb::ndarray<nb::ndim<4>, nb::device::cpu>;
using Points = nb::ndarray<const int64_t, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;
using Counts = nb::ndarray<int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class Array>
masks::Shape shape_of(const Array& array) {
  return {static_cast<int64_t>(array.shape(0)), static_cast<int64_t>(array.shape(1)), static_cast<int64_t>(array.shape(2)),
          static_cast<int64_t>(array.shape(3))};
}

template <class Byte, class Array>
masks::View<Byte> view_of(const Array& array) {
  const int64_t size = array.itemsize();
  return {static_cast<Byte*>(array.data()),
          {array.stride(0) * size, array.stride(1) * size, array.stride(2) * size, array.stride(3) * size}};
}

template <class Array>
masks::Voxels voxels_of(const Array& array) {
  if (array.itemsize() == 1) return masks::Voxels::bytes;
  if (array.dtype() == nb::dtype<float>()) return masks::Voxels::scores;
  throw std::invalid_argument("voxels are bytes or float32");
}

void require_same_shape(const Read& mask, const Write& out) {
  for (size_t axis = 0; axis < 4; ++axis) {
    if (mask.shape(axis) != out.shape(axis)) throw std::invalid_argument("shapes differ");
  }
}

masks::Scan scan_of(const Read& mask, bool background, int connectivity, float threshold, bool nan_is_set) {
  masks::Scan scan;
  scan.shape = shape_of(mask);
  scan.in = view_of<const char>(mask);
  scan.voxels = voxels_of(mask);
  if (scan.voxels == masks::Voxels::scores) scan.test = nan_is_set ? masks::Test::not_at_most : masks::Test::above;
  scan.threshold = threshold;
  scan.background = background;
  scan.neighbours = masks::neighbourhood(connectivity);
  return scan;
}

std::vector<int64_t> points_of(const Points& points, const masks::Shape& shape) {
  const int64_t size[4] = {shape.n, shape.z, shape.y, shape.x};
  std::vector<int64_t> numbers(points.data(), points.data() + points.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] >= size[i % 4]) throw std::invalid_argument("a point lies outside");
  }
  return numbers;
}

void clean(const Read& mask, const Write& out, bool background, int connectivity, unsigned open_faces, int rule,
           int64_t size, const Points& points, float threshold, bool nan_is_set, float score, int copy, int threads) {
  require_same_shape(mask, out);
  masks::Scan scan = scan_of(mask, background, connectivity, threshold, nan_is_set);
  const masks::Turned turned{view_of<char>(out), voxels_of(out), static_cast<uint8_t>(background), score};
  if (turned.voxels == masks::Voxels::bytes) {
    scan.out = turned.out;
    scan.copy = static_cast<masks::Copy>(copy);
  }
  scan.open_faces = open_faces;
  const masks::Choice choice{static_cast<masks::Choice::Rule>(rule), size, points_of(points, scan.shape)};
  nb::gil_scoped_release release;
  masks::clean(scan, choice, turned, threads);
}

void label(const Read& mask, const Write& labels, const Counts& counts, int connectivity, float threshold, bool is_zero,
           int threads) {
  require_same_shape(mask, labels);
  if (labels.dtype() != nb::dtype<int32_t>()) throw std::invalid_argument("labels are int32");
  if (counts.size() != mask.shape(0)) throw std::invalid_argument("there is one count for each mask");
  const masks::Scan scan = scan_of(mask, false, connectivity, threshold, false);
  const masks::View<char> out = view_of<char>(labels);
  int32_t* numbers = counts.data();
  nb::gil_scoped_release release;
  masks::label(scan, out, is_zero, numbers, threads);
}

}  // namespace

NB_MODULE(_core, m) {
  m.def("clean", &clean, nb::arg("mask").noconvert(), nb::arg("out").noconvert(), "background"_a, "connectivity"_a,
        "open_faces"_a, "rule"_a, "size"_a, nb::arg("points").noconvert(), "threshold"_a, "nan_is_set"_a, "score"_a,
        "copy"_a, "threads"_a);
  m.def("label", &label, nb::arg("mask").noconvert(), nb::arg("labels").noconvert(), nb::arg("counts").noconvert(),
        "connectivity"_a, "threshold"_a, "is_zero"_a, "threads"_a);
  m.def("usable_cores", &masks::usable_cores);
  m.def("processor", &masks::level_name);
  m.def("limit_processor", [](int level) { masks::limit_level(static_cast<masks::Level>(level)); });
}
