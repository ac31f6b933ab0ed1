#pragma once
// A small network for pictures or rows of numbers, described in one line:
//
//   "conv:32 conv:32 pool conv:64 conv:64 pool dense:128"
//
//   conv:CHANNELS[:SIZE[:STRIDE]]  convolution, SIZE 3 and STRIDE 1 unless given, zeros around the
//                                  edges, a bias and a relu
//   depthwise[:SIZE[:STRIDE]]      each channel by itself, with a bias and a relu
//   pool[:SIZE]                    the largest of SIZE x SIZE (2), side by side
//   mean                           the average over all positions
//   dense:WIDTH                    all to all, a bias and a relu

#include <span>
#include <string_view>

#include "autograd/data/picture.h"
#include "autograd/data/table.h"
#include "runtime/graph.h"

namespace inkling::tools {

// A base (autograd/fine_tune.h) with initial values: an input of that name and shape, f32[1,
// height, width, channels] or, for dense layers alone, f32[1, width]; output "features" f32[1, f].
// kInvalidArgument: a layer that does not parse or fit; it is named.
Result<Graph> build_network(std::string_view layers, std::string input, const Shape& shape,
                            std::uint64_t seed);

Shape picture_shape(const PictureSize& size);

// The base, but for inputs as they stand in these rows of a table: it takes the mean of each column
// off first and divides by the standard deviation (by 1 where that is 0).
Result<Graph> standardized(const Graph& base, const Table& table,
                           std::span<const std::size_t> rows);

}  // namespace inkling::tools
