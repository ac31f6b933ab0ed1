#include "autograd/learner.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/trained_values.h"
#include "runtime/base/sha256.h"
#include "runtime/passes/passes.h"

namespace inkling {

namespace {

constexpr const char* kLabels = "labels";

// Blocks of constants that graphs have and another has not.
std::size_t own_constant_bytes(std::initializer_list<const Graph*> graphs, const Graph& other) {
  std::set<const void*> seen;
  for (const Value& value : other.values()) seen.insert(value.tensor.get());
  std::size_t bytes = 0;
  for (const Graph* graph : graphs) {
    for (const Value& value : graph->values()) {
      if (value.kind == ValueKind::kConstant && seen.insert(value.tensor.get()).second)
        bytes += aligned_bytes(value.spec.bytes());
    }
  }
  return bytes;
}

std::size_t session_bytes(const Session& session) {
  return session.arena_bytes() + session.variable_bytes() + session.packed_bytes();
}

Result<void> start_from(Trainer& trainer, const TrainedValues& values) {
  std::vector<float> flat = trainer.get_parameters();
  copy_values(values, trainer.parameters(), flat);
  return trainer.set_parameters(flat);
}

Result<std::vector<std::string>> own_classes(const Model& model, std::size_t count) {
  const auto found = model.metadata.find(kLabels);
  std::vector<std::string> classes;
  if (found != model.metadata.end()) {
    classes = lines_of(found->second);
  } else {
    for (std::size_t i = 0; i < count; ++i) classes.push_back(concat(i));
  }
  if (classes.size() == count) return classes;
  return fail(ErrorCode::kInvalidArgument, "learner: the model gives ", count, " numbers for ",
              classes.size(), " labels");
}

// Rows of the examples, each epoch in another order.
class Order {
 public:
  Order(std::size_t count, std::uint64_t seed, std::uint64_t adaptation)
      : rows_(count), rng_(seed, "adapt", adaptation) {
    for (std::size_t i = 0; i < count; ++i) rows_[i] = i;
  }
  std::size_t next() {
    if (at_ == 0) rng_.shuffle(rows_);
    const std::size_t row = rows_[at_];
    at_ = (at_ + 1) % rows_.size();
    return row;
  }

 private:
  std::vector<std::size_t> rows_;
  std::size_t at_ = 0;
  Rng rng_;
};

}  // namespace

Result<Learner> Learner::open(const Path& path, const LearnerOptions& options, const Clock& clock) {
  if (options.examples_max == 0 || options.examples_max > kExamplesMax) {
    return fail(ErrorCode::kInvalidArgument, "learner: room for ", options.examples_max,
                " examples, expected 1 to ", kExamplesMax);
  }
  INK_TRY(const auto file, MappedFile::open(path));
  auto model = decode_model(file->bytes(), file);
  if (!model) return fail_within(std::move(model).error(), path.string());
  Learner learner(clock);
  learner.plan_ = options.plan;
  learner.patch_.base = to_hex(sha256(file->bytes()));
  learner.patch_.train = options.train;
  learner.patch_.features = options.features;
  learner.patch_.keeps_head = options.classes.empty();
  INK_TRY(const TrainChoice choice, parse_train_choice(options.train));
  learner.spec_ = {.classes = static_cast<std::int64_t>(options.classes.size()),
                   .train = choice,
                   .seed = options.seed};
  INK_TRY(learner.base_, patch_base_graph(model->graph, learner.patch_));
  learner.patch_.metadata = std::move(model->metadata);
  if (options.classes.empty()) {
    const std::int64_t count = learner.base_.shape(learner.base_.outputs()[0].value).elements();
    INK_TRY(learner.classes_,
            own_classes({{}, learner.patch_.metadata}, static_cast<std::size_t>(count)));
  } else {
    learner.classes_ = options.classes;
    learner.patch_.metadata[kLabels] = joined_lines(learner.classes_);
  }
  if (learner.classes_.size() < 2)
    return fail(ErrorCode::kInvalidArgument, "learner: one class, expected at least two");
  INK_CHECK_OK(learner.prepare(options));
  return learner;
}

Result<void> Learner::prepare(const LearnerOptions& options) {
  const TensorSpec& input = base_.spec(base_.inputs()[0]);
  if (input.dtype != DType::kF32 || input.shape.rank() == 0 || input.shape[0] != 1) {
    return fail(ErrorCode::kInvalidArgument, "learner: the model takes ", input,
                ", expected f32 of one example");
  }
  example_size_ = static_cast<std::size_t>(input.shape.elements());
  std::size_t width = example_size_;
  if (spec_.train.part == TrainPart::kHead) {
    Graph before = base_;
    if (patch_.keeps_head) {
      INK_TRY(HeadSplit split, split_head(base_));
      before = std::move(split.before);
      trained_base_ = std::move(split.head);
    } else {
      trained_base_ = features_base(base_.shape(base_.find_output("features"))[1]);
    }
    INK_TRY(before_, Session::create(before, plan_));
    INK_TRY(const TensorView features, before_->output("features"));
    width = static_cast<std::size_t>(features.elements());
  } else {
    trained_base_ = base_;
  }
  input_ = trained_base_.value(trained_base_.inputs()[0]).name;
  examples_ = ExampleMemory(options.examples_max, width,
                            static_cast<std::uint32_t>(classes_.size()), spec_.seed);
  // What cannot be trained is refused now rather than after the first examples.
  INK_TRY(const TrainingGraph one, training(1));
  for (const ValueId id : one.train) trained_bytes_ += aligned_bytes(one.graph.spec(id).bytes());
  return use({});
}

Result<TrainingGraph> Learner::training(std::size_t batch) const {
  return training_graph(trained_base_, static_cast<std::int64_t>(batch), spec_);
}

// Makes the values those that predictions are of.
Result<void> Learner::use(TrainedValues values) {
  const TrainedValues* used = &values;
  TrainedValues zeros;
  if (values.empty() && !patch_.keeps_head) {
    // A new head knows nothing: each class is as probable.
    const std::int64_t width = base_.shape(base_.find_output("features"))[1];
    zeros["head/weights"] = Tensor::zeros({DType::kF32, Shape{width, spec_.classes}});
    zeros["head/bias"] = Tensor::zeros({DType::kF32, Shape{spec_.classes}});
    used = &zeros;
  }
  INK_TRY(const Graph graph, trained_graph(base_, spec_, *used));
  INK_TRY(Session session, Session::create(graph, plan_));
  fresh_bytes_ = session_bytes(session) + own_constant_bytes({&session.graph(), &graph}, base_);
  if (used->empty()) fresh_bytes_ += trained_bytes_;  // once something is learnt
  session_ = std::move(session);
  patch_.values = std::move(values);
  return {};
}

Result<void> Learner::expect_example(std::span<const float> example) const {
  if (example.size() != example_size_) {
    return fail(ErrorCode::kInvalidArgument, "learner: an example of ", example.size(),
                " numbers, expected ", example_size_);
  }
  const auto bad =
      std::find_if(example.begin(), example.end(), [](float v) { return !std::isfinite(v); });
  if (bad == example.end()) return {};
  return fail(ErrorCode::kInvalidArgument, "learner: number ", bad - example.begin(),
              " of the example is not finite");
}

Result<void> Learner::observe(std::span<const float> example, std::uint32_t label) {
  INK_CHECK_OK(expect_example(example));
  if (label >= classes_.size()) {
    return fail(ErrorCode::kInvalidArgument, "learner: label ", label, " is not one of the ",
                classes_.size(), " classes");
  }
  if (!before_) {
    examples_.add(example, label);
    return {};
  }
  INK_TRY(const TensorView in, before_->input(base_.value(base_.inputs()[0]).name));
  INK_TRY(const TensorView features, before_->output("features"));
  std::copy(example.begin(), example.end(), in.as<float>());
  before_->run();
  examples_.add(features.span<float>(), label);
  return {};
}

Result<Trainer> Learner::trainer_within(const AdaptSpec& spec, AdaptReport& report) const {
  const std::size_t limit = spec.memory_bytes;
  report.batch = std::clamp<std::size_t>(spec.batch_max, 1, examples_.count());
  while (true) {
    INK_TRY(TrainingGraph graph, training(report.batch));
    const std::size_t scalars = kTensorAlignment * graph.graph.nodes().size();
    // Beside the trainer are a scalar or two for each derivative, the values that it starts from,
    // the zeros that its two moments start from, and what it learnt; then it makes room for that,
    // as rounded, and new predictions.
    const std::size_t beside =
        scalars + 4 * trained_bytes_ + own_constant_bytes({&graph.graph}, base_);
    const std::size_t after = 2 * trained_bytes_ + fresh_bytes_;
    if (limit > 0 && (limit <= beside || limit < after)) {
      return fail(ErrorCode::kResourceLimit, "learner: takes ", std::max(beside, after),
                  " bytes beside its steps, the budget is ", limit);
    }
    auto trainer = Trainer::create(std::move(graph.graph),
                                   {.loss = graph.loss,
                                    .train = graph.train,
                                    .optimizer = Adam{},
                                    .memory_budget_bytes = limit > 0 ? limit - beside : 0,
                                    .plan = plan_});
    if (trainer) {
      report.segments = trainer->segments();
      report.memory_bytes = std::max(trainer->memory_bytes() + beside, after);
      return trainer;
    }
    if (trainer.error().code != ErrorCode::kResourceLimit || report.batch == 1) {
      return fail_within(std::move(trainer).error(), concat("learner: a batch of ", report.batch));
    }
    report.batch = (report.batch + 1) / 2;
  }
}

Result<AdaptReport> Learner::adapt(const AdaptSpec& spec) {
  if (examples_.count() == 0)
    return fail(ErrorCode::kFailedPrecondition, "learner: no examples to learn from");
  if (spec.budget_ms < 0 || spec.steps_max == 0 || spec.batch_max == 0 || !(spec.rate > 0)) {
    return fail(ErrorCode::kInvalidArgument,
                "learner: expected a budget, steps, a batch and a rate that are positive");
  }
  const std::int64_t start = clock_->steady_ms();
  AdaptReport report;
  TrainedValues values;
  {
    INK_TRY(Trainer trainer, trainer_within(spec, report));
    INK_CHECK_OK(start_from(trainer, patch_.values));
    INK_TRY(const TensorView inputs, trainer.input(input_));
    INK_TRY(const TensorView targets, trainer.input("targets"));
    Order order(examples_.count(), spec_.seed, adapted_);
    const std::size_t width = inputs.span<float>().size() / report.batch;
    std::int64_t longest = 0, now = clock_->steady_ms();
    while (report.steps < spec.steps_max) {
      if (spec.budget_ms > 0 && report.steps > 0 && now - start + longest > spec.budget_ms) break;
      std::fill(targets.span<float>().begin(), targets.span<float>().end(), 0.0f);
      for (std::size_t i = 0; i < report.batch; ++i) {
        const std::size_t row = order.next();
        const auto from = examples_.example(row);
        std::copy(from.begin(), from.end(), inputs.as<float>() + i * width);
        targets.as<float>()[i * classes_.size() + examples_.label(row)] = 1;
      }
      const StepReport step = trainer.step(spec.rate);
      if (!step.finite) {
        return fail(ErrorCode::kFailedPrecondition, "learner: the loss is not finite at step ",
                    report.steps, ": lower the rate");
      }
      if (report.steps++ == 0) report.first_loss = step.loss;
      report.last_loss = step.loss;
      const std::int64_t then = now;
      now = clock_->steady_ms();
      longest = std::max(longest, now - then);
    }
    report.out_of_time = report.steps < spec.steps_max;
    values = values_by_name(trainer.parameters(), trainer.get_parameters());
  }
  INK_TRY(values, rounded_for_patch(values));
  INK_CHECK_OK(use(std::move(values)));
  ++adapted_;
  return report;
}

Result<std::span<const float>> Learner::predict(std::span<const float> example) {
  INK_CHECK_OK(expect_example(example));
  INK_TRY(const TensorView in, session_->input(base_.value(base_.inputs()[0]).name));
  INK_TRY(const TensorView out, session_->output("probabilities"));
  std::copy(example.begin(), example.end(), in.as<float>());
  session_->run();
  return std::span<const float>(out.span<float>());
}

Result<Bytes> Learner::save_patch() const {
  if (!has_patch())
    return fail(ErrorCode::kFailedPrecondition, "learner: nothing learnt that could be saved");
  INK_TRY(const Model file, patch_model(patch_));
  return encode_model(file);
}

Result<void> Learner::load_patch(ByteSpan file) {
  const auto bytes = std::make_shared<const Bytes>(file.begin(), file.end());
  INK_TRY(const Model model, decode_model(*bytes, bytes));
  INK_TRY(ModelPatch patch, read_patch(model, patch_.base));
  if (patch.train != patch_.train || patch.keeps_head != patch_.keeps_head ||
      patch.features != patch_.features) {
    return fail(ErrorCode::kInvalidArgument, "learner: a patch of train '", patch.train,
                "' and features '", patch.features, "', expected '", patch_.train, "' and '",
                patch_.features, "' and as many classes");
  }
  if (!patch.keeps_head && lines_of(patch.metadata[kLabels]) != classes_)
    return fail(ErrorCode::kInvalidArgument, "learner: a patch for other classes");
  // All that this learner trains, and nothing else.
  INK_TRY(const TrainingGraph expected, training(1));
  for (const ValueId id : expected.train) {
    const Value& value = expected.graph.value(id);
    const auto found = patch.values.find(value.name);
    if (found == patch.values.end() || found->second.spec() != value.spec) {
      return fail(ErrorCode::kCorrupt, "patch: no ", value.spec, " '", value.name, "'");
    }
  }
  if (patch.values.size() != expected.train.size())
    return fail(ErrorCode::kCorrupt, "patch: ", patch.values.size(), " values, expected ",
                expected.train.size());
  return use(std::move(patch.values));
}

Result<void> Learner::drop_patch() { return use({}); }

}  // namespace inkling
