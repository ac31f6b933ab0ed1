#pragma once
// PictureClassifier: a model file that takes a picture and gives a probability a class, with what
// is needed to feed it: its metadata hold the class names and the scaling of pixels.
//
//   labels        class names, one a line
//   input_mean    per channel, of pixels scaled to 0..1
//   input_std     the same; what goes in is (pixel / 255 - mean) / std

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "autograd/data/picture.h"
#include "autograd/model_patch.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace inkling::tools {

struct PixelScaling {
  std::array<double, 3> mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
};

// How pictures go into a model with one f32 input of one picture: [1, h, w, c] or [1, c, h, w], c 1
// or 3.
struct PictureInput {
  std::string name;
  PictureSize size;
  bool channels_first = false;
  PixelScaling scaling;

  void fill(ByteSpan pixels, std::span<float> to) const;  // f32[size.bytes()]
};

// kInvalidArgument: the model's inputs are not one picture.
Result<PictureInput> picture_input(const Graph& graph, const PixelScaling& scaling);

struct PictureClassifier {
  Model model;
  PictureInput input;
  std::vector<std::string> classes;
};

Model classifier_model(Graph graph, const PixelScaling& scaling,
                       const std::vector<std::string>& classes);
// kInvalidArgument: a model without labels or whose outputs are not one number a class.
Result<PictureClassifier> open_classifier(const Path& path);

// The scaling in a model's metadata, or `fallback`. kCorrupt: numbers that do not parse.
Result<PixelScaling> scaling_of(const Model& model, const PixelScaling& fallback);

// Probabilities f32[rows, classes] of pictures that `fill` writes, several at a time where the
// model allows.
Result<Tensor> classify(const PictureClassifier& classifier, std::size_t rows,
                        const std::function<ByteSpan(std::size_t row)>& picture, unsigned threads);

}  // namespace inkling::tools
