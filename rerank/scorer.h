#pragma once
// What makes a Model a scorer: it has an input "features" f32[rows, width] and an output "scores"
// f32[rows, 1], and its metadata names the feature schema that it was trained on.
//
// A scorer may also read what the person chose before: an input "past" f32[past rows, base width],
// oldest first and filled from the end, and "present" f32[past rows, 1], which is 1 where there is
// a row and 0 in front of it.
//
// The number of rows in the file is only an example: with_rows() gives the same model for another
// number, in which every size that equals the example's takes the new number. So a file whose nodes
// name their sizes has an example number that occurs nowhere else (kExampleRows); with one row,
// sizes are left as they are.
//
// A scorer whose last layer is linear may name what that layer reads: an output "representation"
// f32[rows, weights], of which the scores are a product with its one variable. Then a person's
// patch of that layer is a conditional logit (rerank/learn/patch_choice.h).
//
// The f32 variables are what training and patches change; as one vector they stand in the order of
// Graph::variables(). In a model for devices only the last layer is a variable, so that a patch is
// small.

#include "rerank/feature_schema.h"
#include "runtime/model.h"

namespace inkling {

inline constexpr const char* kFeaturesInput = "features";
inline constexpr const char* kScoresOutput = "scores";
inline constexpr const char* kRepresentationOutput = "representation";
inline constexpr const char* kHeadVariable = "head";  // of a scorer with a representation
inline constexpr const char* kPastInput = "past";
inline constexpr const char* kPresentInput = "present";
inline constexpr std::int64_t kExampleRows = 61;
inline constexpr const char* kSchemaKey = "feature_schema";  // in Model::metadata

// The fingerprint as it stands in the metadata: 16 hexadecimal digits.
std::string schema_tag(const FeatureSchema& schema);

// Appends the nodes of `from`, whose leaves `moved` maps to values of `to`, and maps their results
// too. Every size in a node that equals `example` becomes `rows`, unless example is 1.
void append_nodes(Graph& to, const Graph& from, std::span<ValueId> moved, std::int64_t example = 1,
                  std::int64_t rows = 1);

// Appends the scorer with `rows` rows to `to` and returns its scores. Variables that `to` has by
// name are shared; inputs get `suffix` behind their names. Latches what is wrong.
ValueId append_scorer(Graph& to, const Graph& scorer, std::size_t rows, std::string_view suffix);

// The same graph with `rows` rows. kInvalidArgument: no such input or output, a node that fixes the
// number of rows, or scores of another shape.
Result<Graph> with_rows(const Graph& graph, std::size_t rows);

// kVerification: the model was made for another feature schema. kInvalidArgument: not a scorer, or
// one of another width.
Result<void> check_scorer(const Model& model, const FeatureSchema& schema);

// How many past rows the scorer reads; 0: none. kInvalidArgument: the two inputs do not fit.
Result<std::size_t> past_rows(const Graph& graph);

// Identifies the model's exact bytes: the digest that its file would have.
Result<Sha256Digest> model_identity(const Model& model);

// The variables as one vector. kUnsupported: a variable that is not f32.
Result<std::vector<float>> model_parameters(const Graph& graph);

// The model with these values for its variables. kInvalidArgument: another number of them.
Result<Model> with_parameters(const Model& model, std::span<const float> values);

// Fills the inputs "past" and "present" from rows, oldest first, of which the latest count.
// kInvalidArgument: not whole rows.
Result<void> fill_past(std::span<const float> past, const TensorView& rows,
                       const TensorView& present);

}  // namespace inkling
