#pragma once
// What makes a Model a scorer: it has an input "features" f32[rows, width] and an output "scores"
// f32[rows, 1], and its metadata names the feature schema that it was trained on.
//
// Rows are scored one by one, so the number of rows in the file is only an example: with_rows()
// gives the same model for another number. The f32 variables are what training and patches change;
// as one vector they stand in the order of Graph::variables().

#include "rerank/feature_schema.h"
#include "runtime/model.h"

namespace inkling {

inline constexpr const char* kFeaturesInput = "features";
inline constexpr const char* kScoresOutput = "scores";
inline constexpr const char* kSchemaKey = "feature_schema";  // in Model::metadata

// The fingerprint as it stands in the metadata: 16 hexadecimal digits.
std::string schema_tag(const FeatureSchema& schema);

// The same graph with `rows` rows. kInvalidArgument: no such input or output, a node that fixes the
// number of rows, or scores of another shape.
Result<Graph> with_rows(const Graph& graph, std::size_t rows);

// kVerification: the model was made for another feature schema. kInvalidArgument: not a scorer, or
// one of another width.
Result<void> check_scorer(const Model& model, const FeatureSchema& schema);

// Identifies the model's exact bytes: the digest that its file would have.
Result<Sha256Digest> model_identity(const Model& model);

// The variables as one vector. kUnsupported: a variable that is not f32.
Result<std::vector<float>> model_parameters(const Graph& graph);

}  // namespace inkling
