#pragma once
// Builds small ONNX models for the importer's tests.

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include "convert/onnx/import.h"

namespace inkling {

// A model of one node "n" over the float input x, with further inputs as initializers.
class ModelBuilder {
 public:
  explicit ModelBuilder(std::vector<std::int64_t> x = {1, 2, 4, 4}, std::int64_t opset = 13) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(opset);
    auto* input = model_.mutable_graph()->add_input();
    input->set_name("x");
    auto* type = input->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t size : x) {
      auto* dim = type->mutable_shape()->add_dim();
      if (size < 0)
        dim->set_dim_param("?");
      else
        dim->set_dim_value(size);
    }
    model_.mutable_graph()->add_output()->set_name("y");
  }

  ModelBuilder& input(const char* name, int type, std::vector<std::int64_t> dims) {
    auto* added = model_.mutable_graph()->add_input();
    added->set_name(name);
    added->mutable_type()->mutable_tensor_type()->set_elem_type(type);
    auto* shape = added->mutable_type()->mutable_tensor_type()->mutable_shape();
    for (const std::int64_t size : dims) shape->add_dim()->set_dim_value(size);
    return *this;
  }
  ModelBuilder& floats(const char* name, std::vector<std::int64_t> dims,
                       std::vector<float> values) {
    auto* tensor = initializer(name, dims, onnx::TensorProto::FLOAT);
    tensor->mutable_float_data()->Assign(values.begin(), values.end());
    return *this;
  }
  ModelBuilder& integers(const char* name, std::vector<std::int64_t> values) {
    auto* tensor =
        initializer(name, {static_cast<std::int64_t>(values.size())}, onnx::TensorProto::INT64);
    tensor->mutable_int64_data()->Assign(values.begin(), values.end());
    return *this;
  }
  onnx::NodeProto& node(const char* op, std::vector<std::string> inputs, const char* output = "y") {
    auto* node = model_.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name(concat("n_", op));
    for (const std::string& name : inputs) node->add_input(name);
    node->add_output(output);
    return *node;
  }
  static void set(onnx::NodeProto& node, const char* name, std::vector<std::int64_t> values) {
    auto* attribute = node.add_attribute();
    attribute->set_name(name);
    if (values.size() == 1) attribute->set_i(values[0]);
    attribute->mutable_ints()->Assign(values.begin(), values.end());
  }
  onnx::ModelProto& proto() { return model_; }
  Bytes bytes() const {
    const std::string text = model_.SerializeAsString();
    return {text.begin(), text.end()};
  }
  Result<Model> import(const onnx_import::Options& options = {}) const {
    return onnx_import::import_model(bytes(), options);
  }

 private:
  onnx::TensorProto* initializer(const char* name, const std::vector<std::int64_t>& dims,
                                 int type) {
    auto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    tensor->mutable_dims()->Assign(dims.begin(), dims.end());
    return tensor;
  }
  onnx::ModelProto model_;
};

}  // namespace inkling
