#pragma once
// Classifier: a model file that takes a picture, or a row of a table, and gives a probability a
// class, with what is needed to feed it: its metadata hold the class names and, of a table, the
// names of the columns, or the scaling of pixels.
//
//   labels        class names, one a line
//   columns       of a table, one a line: the numbers as they stand there go in
//   label_column  of a table: the one that says the class
//   input_mean    per channel, of pixels scaled to 0..1
//   input_std     the same; what goes in is (pixel / 255 - mean) / std

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "autograd/feature_cache.h"
#include "autograd/model_patch.h"
#include "runtime/model.h"
#include "tools/train/examples.h"

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

struct ModelInput {
  std::string name;
  std::size_t floats = 0;               // of one example
  std::optional<PictureInput> picture;  // or a row of
  std::vector<std::string> columns;
  std::string label_column;

  // room: for pictures that are decoded or scaled on the way. As PictureSet::picture.
  Result<void> fill(const Examples& examples, std::size_t row, Bytes& room,
                    std::span<float> to) const;
};

// Of a model with these metadata. kInvalidArgument: it takes neither a picture nor its columns.
// kCorrupt: as scaling_of.
Result<ModelInput> model_input(const Graph& graph, const Model& about,
                               const PixelScaling& fallback = {});

struct Classifier {
  Model model;
  ModelInput input;
  std::vector<std::string> classes;
};

Model classifier_model(Graph graph, const ModelInput& input,
                       const std::vector<std::string>& classes);
// kInvalidArgument: a model without labels or whose outputs are not one number a class.
Result<Classifier> open_classifier(const Path& path);

// The scaling in a model's metadata, or `fallback`. kCorrupt: numbers that do not parse.
Result<PixelScaling> scaling_of(const Model& model, const PixelScaling& fallback);

// Probabilities f32[rows, classes] of examples that `fill` writes, several at a time where the
// model allows; and of all examples of a set.
Result<Tensor> classify(const Classifier& classifier, std::size_t rows, const FillRow& fill,
                        unsigned threads);
Result<Tensor> classify(const Classifier& classifier, const Examples& examples, unsigned threads);

}  // namespace inkling::tools
