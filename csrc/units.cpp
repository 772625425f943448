// Registers the clipping of units with PyTorch; the layers' operators are in ops.cpp.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <tuple>

#include "core/units.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class T>
std::tuple<double, double> clipped(const Tensor& weight, Tensor& grad, double factor, double least,
                                   double floor) {
  // A vector is one unit as a whole.
  const int64_t units = weight.dim() > 1 ? weight.size(0) : 1;
  const auto found = bptt::clip_units(static_cast<const T*>(weight.const_data_ptr()),
                                      static_cast<T*>(grad.mutable_data_ptr()), units,
                                      weight.numel() / units, factor, least, floor);
  return {found.before, found.after};
}

// Clips grad in place; the squares of its norm before and after.
std::tuple<double, double> clip_units(Tensor weight, Tensor grad, double factor, double least,
                                      double floor) {
  const ScalarType type = weight.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double,
                  "expected float32 or float64");
  STD_TORCH_CHECK(weight.is_cpu() && grad.is_cpu() && weight.is_contiguous() && grad.is_contiguous() &&
                      grad.scalar_type() == type && grad.dim() == weight.dim(),
                  "expected a weight and its gradient, contiguous on the CPU and of one dtype");
  for (int64_t axis = 0; axis < weight.dim(); ++axis)
    STD_TORCH_CHECK(grad.size(axis) == weight.size(axis), "the gradient has another shape");
  if (weight.numel() == 0) return {0.0, 0.0};
  return type == ScalarType::Float ? clipped<float>(weight, grad, factor, least, floor)
                                   : clipped<double>(weight, grad, factor, least, floor);
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(bptt, m) {
  m.def(
      "clip_units(Tensor weight, Tensor(a!) grad, float factor, float least, float floor) -> (float "
      "before, float after)");
}

STABLE_TORCH_LIBRARY_IMPL(bptt, CPU, m) { m.impl("clip_units", TORCH_BOX(&clip_units)); }
