#pragma once
// Products that both the float and the quantised handlers build.

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

// NumPy's matmul: vectors count as a row or a column, leading axes broadcast. A matrix on the right
// serves every leading index at once.
Result<ValueId> matrix_product(NodeReader& n, ValueId a, ValueId b);

// The node's convolution of images [n, c, ...] with weights [out, in / groups, ...], over one to
// three spatial axes, without bias.
Result<ValueId> convolve(NodeReader& n, ValueId x, ValueId w);

// A number a channel, shaped to broadcast along axis 1 of a tensor of that rank.
Result<ValueId> per_channel(NodeReader& n, ValueId values, std::size_t rank, std::size_t axis = 1);

// Elements start, start + step, ... of an axis.
ValueId every(Graph& g, ValueId x, std::size_t axis, std::int64_t start, std::int64_t step,
              std::int64_t count);

// Channels-first to channels-last and back, with any number of axes between.
ValueId channels_last(Graph& g, ValueId x);
ValueId channels_first(Graph& g, ValueId x);

}  // namespace inkling::onnx_import
