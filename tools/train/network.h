#pragma once
// A small network for pictures, described in one line:
//
//   "conv:32 conv:32 pool conv:64 conv:64 pool dense:128"
//
//   conv:CHANNELS[:SIZE[:STRIDE]]  convolution, SIZE 3 and STRIDE 1 unless given, zeros around the
//                                  edges, a bias and a relu
//   depthwise[:SIZE[:STRIDE]]      each channel by itself, with a bias and a relu
//   pool[:SIZE]                    the largest of SIZE x SIZE (2), side by side
//   mean                           the average over all positions
//   dense:WIDTH                    all to all, a bias and a relu

#include <string_view>

#include "autograd/data/picture.h"
#include "runtime/graph.h"

namespace inkling::tools {

// A base (autograd/fine_tune.h) with initial values: input "picture" f32[1, height, width,
// channels], output "features" f32[1, f]. kInvalidArgument: a layer that does not parse or fit; it
// is named.
Result<Graph> build_network(std::string_view layers, const PictureSize& size, std::uint64_t seed);

}  // namespace inkling::tools
