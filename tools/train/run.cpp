#include "tools/train/run.h"

#include <algorithm>

#include "autograd/data/augmentation.h"
#include "autograd/data/balance.h"
#include "autograd/data/pictures_ahead.h"
#include "autograd/data/split.h"
#include "autograd/feature_cache.h"
#include "autograd/schedule.h"
#include "autograd/trained_values.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/passes/passes.h"
#include "tools/console.h"
#include "tools/measure.h"
#include "tools/model_source.h"
#include "tools/report.h"
#include "tools/train/network.h"
#include "tools/train/patch.h"

namespace inkling::tools {

namespace {

constexpr std::int64_t kFeatureBatch = 16;
constexpr std::size_t kTimedStepsMin = 3, kProgressEvery = 20;
constexpr double kTimedSeconds = 0.5;
constexpr std::uint64_t kCheckpointBytesMax = std::uint64_t{4} << 30;
constexpr std::size_t kMegabyte = 1'000'000, kDataShare = 4;  // of --memory, a fourth

Augmentation augmentation_of(const TrainSettings& s) {
  return {.flip = s.flip, .shift = s.shift, .color = s.color, .cutout = s.cutout};
}

Optimizer optimizer_of(const TrainSettings& s) {
  if (s.optimizer == "adagrad") return Adagrad{.weight_decay = s.weight_decay};
  if (s.optimizer == "rmsprop") return RmsProp{.weight_decay = s.weight_decay};
  if (s.optimizer == "ftrl") return Ftrl{.l1 = s.l1, .l2 = s.weight_decay};
  if (s.optimizer == "adam") return Adam{.weight_decay = s.weight_decay};
  return Sgd{s.momentum, s.weight_decay, s.optimizer == "nesterov"};
}

std::size_t numbers_in(const Graph& graph) {
  std::vector<bool> counted(graph.values().size());
  std::size_t total = 0;
  for (const Node& node : graph.nodes()) {
    for (const ValueId id : node.inputs) {
      const auto at = static_cast<std::size_t>(id);
      if (graph.value(id).kind != ValueKind::kConstant || counted[at]) continue;
      counted[at] = true;
      total += static_cast<std::size_t>(graph.shape(id).elements());
    }
  }
  return total;
}

Result<Graph> cut_base(const TrainSettings& s, const Model& model, const TrainChoice& choice) {
  INK_TRY(Graph base, cut_head(model.graph, s.features_name, choice.part == TrainPart::kNorm));
  if (s.from_scratch) return reinitialize(base, s.seed);
  return base;
}

std::size_t kept_bytes_max(const TrainSettings& s) {
  const std::size_t share = s.memory_mb > 0 ? s.memory_mb * kMegabyte / kDataShare : SIZE_MAX;
  return std::min(s.data_memory_mb * kMegabyte, share);
}

// The base, and how a picture goes into it.
Result<void> plan_pictures(const TrainSettings& s, TrainPlan& plan) {
  Model about;
  PictureSource source{
      .path = s.data, .size = {s.size, s.size, 0}, .kept_bytes_max = kept_bytes_max(s)};
  PictureSets sets;
  if (s.base.empty()) {
    INK_TRY(sets, read_picture_sets(source));
    INK_TRY(plan.base, build_network(s.layers, "picture", picture_shape(sets.train.size), s.seed));
    INK_TRY(plan.input, model_input(plan.base, {}, {s.mean, s.std}));
  } else {
    INK_TRY(const Model model, load_model({.model = s.base, .shapes = s.shapes, .values = {}}));
    INK_TRY(plan.base, cut_base(s, model, plan.choice));
    INK_TRY(plan.input, model_input(plan.base, model, {s.mean, s.std}));
    if (!plan.input.picture)
      return fail(ErrorCode::kInvalidArgument, s.base.string(), ": takes rows of a table");
    source.size = plan.input.picture->size;
    INK_TRY(sets, read_picture_sets(source));
  }
  if (!s.group.empty()) INK_CHECK_OK(group_pictures(sets.train, s.group));
  plan.sets.train.set = std::move(sets.train);
  if (sets.test) plan.sets.test = Examples{std::move(*sets.test)};
  if (s.test_data.empty()) return {};
  const PictureSet& train = *plan.sets.train.pictures();
  source.path = s.test_data;
  source.size = train.size;
  source.classes = train.classes;
  source.kept_bytes_max -= std::min(source.kept_bytes_max, train.pixels.size());
  INK_TRY(PictureSet test, read_pictures(source));
  plan.sets.test = Examples{std::move(test)};
  return {};
}

// The same of a table. A base of another table keeps its columns and their scaling.
Result<void> plan_table(const TrainSettings& s, TrainPlan& plan) {
  if (augmentation_of(s).any())
    return fail(ErrorCode::kInvalidArgument, s.data.string(),
                ": rows of a table are not augmented");
  if (s.label.empty()) return fail(ErrorCode::kInvalidArgument, "--label: expected a column");
  TableSource source{
      .path = s.data, .label = s.label, .group = s.group, .ignored = s.ignore, .table = s.table};
  Model model;
  if (!s.base.empty()) {
    INK_TRY(model, load_model({.model = s.base, .shapes = s.shapes, .values = {}}));
    const auto columns = model.metadata.find("columns");
    if (columns == model.metadata.end())
      return fail(ErrorCode::kInvalidArgument, s.base.string(), ": does not take rows of a table");
    source.columns = lines_of(columns->second);
  }
  INK_TRY(Table table, read_table_file(source));
  if (s.base.empty()) {
    const auto width = static_cast<std::int64_t>(table.columns.size());
    INK_TRY(plan.base, build_network(s.layers, "row", {1, width}, s.seed));
  } else {
    INK_TRY(plan.base, cut_base(s, model, plan.choice));
  }
  model.metadata["columns"] = joined_lines(table.columns);
  model.metadata["label_column"] = table.label_column;
  INK_TRY(plan.input, model_input(plan.base, model));
  source.columns = table.columns;
  source.classes = table.classes;
  source.path = s.test_data;
  plan.sets.train.set = std::move(table);
  if (s.test_data.empty()) return {};
  INK_TRY(Table test, read_table_file(source));
  plan.sets.test = Examples{std::move(test)};
  return {};
}

// What the steps draw rows from: pictures, or features computed once.
struct Rows {
  Graph base;
  std::string input;
  std::size_t row_size = 0;
  std::unique_ptr<PicturesAhead> ahead;  // of pictures
  std::function<Result<void>(std::size_t row, std::size_t epoch, std::span<float> to)> fill;
  Tensor features;  // of the rows that are used; empty unless cached
};

Result<Rows> rows_of(const TrainSettings& s, const TrainPlan& plan) {
  Rows rows;
  if (!plan.caches_features) {
    rows.base = plan.base;
    rows.input = plan.input.name;
    rows.row_size = plan.input.floats;
    if (plan.sets.train.pictures())
      rows.ahead = std::make_unique<PicturesAhead>(*plan.sets.train.pictures());
    rows.fill = [&s, &plan, ahead = rows.ahead.get(), how = augmentation_of(s), room = Bytes(),
                 changed = Bytes(plan.input.floats)](std::size_t row, std::size_t epoch,
                                                     std::span<float> to) mutable -> Result<void> {
      if (!ahead) return plan.input.fill(plan.sets.train, row, room, to);
      const PictureInput& input = *plan.input.picture;
      INK_TRY(ByteSpan pixels, ahead->picture(row, room));
      if (how.any()) {
        Rng rng(s.seed, concat("augment/", row), epoch);
        augment(pixels, input.size, how, rng, changed);
        pixels = changed;
      }
      input.fill(pixels, to);
      return {};
    };
    return rows;
  }
  const auto batched = with_batch(plan.base, kFeatureBatch);
  INK_TRY(Session session, Session::create(batched ? *batched : plan.base, {.threads = s.threads}));
  std::vector<std::size_t> used = plan.train_rows;
  used.insert(used.end(), plan.validation_rows.begin(), plan.validation_rows.end());
  Bytes room;
  INK_TRY(rows.features, compute_features(session, plan.input.name, "features", used.size(),
                                          [&](std::size_t i, std::span<float> to) {
                                            return plan.input.fill(plan.sets.train, used[i], room,
                                                                   to);
                                          }));
  std::vector<std::size_t> place(plan.sets.train.rows().count());
  for (std::size_t i = 0; i < used.size(); ++i) place[used[i]] = i;
  rows.row_size = static_cast<std::size_t>(rows.features.shape()[1]);
  rows.base = features_base(rows.features.shape()[1]);
  rows.input = "features";
  rows.fill = [features = rows.features.data<float>(), width = rows.row_size,
               place = std::move(place)](std::size_t row, std::size_t, std::span<float> to) {
    std::copy_n(features.begin() + static_cast<std::ptrdiff_t>(place[row] * width), width,
                to.begin());
    return Result<void>();
  };
  return rows;
}

// What is held to decode pictures that are not kept: of two steps, and while one is decoded.
std::size_t streaming_bytes(const TrainSettings& s, const PictureSet* set) {
  if (!set || set->files.empty()) return 0;
  return set->decoding_bytes + 2 * std::min(s.batch, set->files.size()) * set->size.bytes();
}

// What --memory leaves for the trainer: beside it are the pictures and the base, which are here
// already, what decodes the others, and at the end of an epoch the copies of the trained weights in
// the validated model, the best ones and the checkpoint.
Result<std::size_t> trainer_budget(const TrainSettings& s, const TrainPlan& plan,
                                   const TrainingGraph& training) {
  constexpr std::size_t kCopies = 10;
  if (s.memory_mb == 0) return std::size_t{0};
  std::size_t beside = resident_bytes() + streaming_bytes(s, plan.sets.train.pictures());
  for (const ValueId id : training.train) beside += kCopies * training.graph.spec(id).bytes();
  const std::size_t limit = s.memory_mb * 1'000'000;
  if (beside < limit) return limit - beside;
  return fail(ErrorCode::kResourceLimit, "train: pictures, base and checkpoint take ",
              beside / 1'000'000, " MB, --memory allows ", s.memory_mb);
}

Result<TrainingGraph> piece_of(const Graph& base, std::size_t rows, const FineTuneSpec& spec) {
  return training_graph(base, static_cast<std::int64_t>(rows), spec);
}

Result<Trainer> make_trainer(const TrainSettings& s, TrainingGraph training, std::size_t pieces,
                             std::size_t budget) {
  return Trainer::create(std::move(training.graph), {.loss = training.loss,
                                                     .train = training.train,
                                                     .optimizer = optimizer_of(s),
                                                     .clip_value = s.clip_value,
                                                     .clip_norm = s.clip_norm,
                                                     .average = s.ema,
                                                     .pieces = pieces,
                                                     .memory_budget_bytes = budget,
                                                     .plan = {.threads = s.threads}});
}

class Run {
 public:
  static Result<Run> create(const TrainSettings& s, const TrainPlan& plan) {
    INK_TRY(Rows rows, rows_of(s, plan));
    const FineTuneSpec spec{
        .classes = static_cast<std::int64_t>(plan.sets.train.rows().classes.size()),
        .train = plan.caches_features ? TrainChoice{} : plan.choice,
        .seed = s.seed};
    const std::size_t batch = std::min(s.batch, plan.train_rows.size());
    if (batch % s.accumulate != 0) {
      return fail(ErrorCode::kInvalidArgument, "--accumulate: ", s.accumulate,
                  " pieces of a batch of ", batch, ", expected a divisor");
    }
    std::size_t pieces = s.accumulate;
    INK_TRY(TrainingGraph training, piece_of(rows.base, batch / pieces, spec));
    INK_TRY(const std::size_t budget, trainer_budget(s, plan, training));
    auto trainer = make_trainer(s, std::move(training), pieces, budget);
    // The fewest pieces that fit.
    while (!trainer && trainer.error().code == ErrorCode::kResourceLimit && pieces < batch) {
      do ++pieces;
      while (batch % pieces != 0);
      INK_TRY(TrainingGraph piece, piece_of(rows.base, batch / pieces, spec));
      trainer = make_trainer(s, std::move(piece), pieces, budget);
    }
    if (!trainer && trainer.error().code == ErrorCode::kResourceLimit) {
      return fail(ErrorCode::kResourceLimit, "train: a batch of ", batch, ": ",
                  trainer.error().message, ": raise --memory or train less of the base");
    }
    INK_TRY(Trainer made, std::move(trainer));
    return Run(s, plan, std::move(rows), spec, batch, pieces, std::move(made));
  }

  TrainEstimate estimate() const {
    return {.trained_parameters = trainer_.parameter_count(),
            .memory_bytes = trainer_.memory_bytes(),
            .steps = steps_per_epoch() * settings_->epochs,
            .segments = trainer_.segments(),
            .pieces = pieces_};
  }
  std::size_t steps_per_epoch() const { return plan_->train_rows.size() / batch_; }
  Trainer& trainer() { return trainer_; }

  // Writes the inputs of a step; rows[i] in a seeded order of the epoch.
  Result<void> fill(std::span<const std::size_t> rows, std::size_t epoch) {
    INK_TRY(const TensorView inputs, trainer_.input(rows_.input));
    INK_TRY(const TensorView targets, trainer_.input("targets"));
    const auto classes = static_cast<std::size_t>(spec_.classes);
    const auto even = static_cast<float>(settings_->label_smoothing / static_cast<double>(classes));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      INK_CHECK_OK(rows_.fill(rows[i], epoch,
                              inputs.span<float>().subspan(i * rows_.row_size, rows_.row_size)));
      const std::uint32_t label = plan_->sets.train.rows().labels[rows[i]];
      const auto weight = static_cast<float>(weights_[label]);
      const auto of_row = targets.span<float>().subspan(i * classes, classes);
      std::fill(of_row.begin(), of_row.end(), weight * even);
      of_row[label] += weight * static_cast<float>(1 - settings_->label_smoothing);
    }
    if (settings_->mixup > 0) {
      Rng rng(settings_->seed, concat("mixup/", rows[0]), epoch);
      const double share = draw_mixup(settings_->mixup, rng);
      mix_rows(inputs.span<float>().first(rows.size() * rows_.row_size), rows.size(), share);
      mix_rows(targets.span<float>().first(rows.size() * classes), rows.size(), share);
    }
    return {};
  }

  // The mean loss of an epoch.
  Result<double> train_epoch(std::size_t epoch, const std::function<void(std::size_t)>& on_step) {
    const std::vector<std::size_t> order = order_of(epoch);
    const std::size_t steps = steps_per_epoch();
    INK_TRY(const auto shape, parse_schedule(settings_->schedule));
    const Schedule schedule{shape, settings_->rate, settings_->warmup};
    double sum = 0;
    for (std::size_t step = 0; step < steps; ++step) {
      INK_CHECK_OK(fill(std::span(order).subspan(step * batch_, batch_), epoch));
      if (step + 1 < steps) ask_for(std::span(order).subspan((step + 1) * batch_, batch_));
      const std::size_t done = epoch * steps + step;
      const StepReport report = trainer_.step(rate_at(schedule, done, steps * settings_->epochs));
      if (!report.finite) {
        return fail(ErrorCode::kFailedPrecondition, "train: the loss is not finite at step ", step,
                    " of epoch ", epoch + 1, ": lower --rate or set --clip-norm");
      }
      sum += report.loss;
      on_step(step + 1);
    }
    return sum / static_cast<double>(steps);
  }

  // Of rows of the training set, with the trainer's weights as they are.
  Result<Evaluation> validate(std::span<const std::size_t> rows) const {
    const auto parameters = trainer_.get_averages();
    INK_TRY(const Graph graph,
            trained_graph(rows_.base, spec_, values_by_name(trainer_.parameters(), parameters)));
    const std::size_t batch = settings_->memory_mb > 0 ? 1 : std::min(batch_, rows.size());
    const auto batched = with_batch(graph, static_cast<std::int64_t>(batch));
    INK_TRY(Session session,
            Session::create(batched ? *batched : graph, {.threads = settings_->threads}));
    std::vector<std::uint32_t> labels;
    for (const std::size_t row : rows) labels.push_back(plan_->sets.train.rows().labels[row]);
    INK_TRY(const Tensor probabilities,
            compute_features(
                session, rows_.input, "probabilities", rows.size(),
                [&](std::size_t i, std::span<float> to) { return fill_plain(rows[i], to); }));
    return evaluate(probabilities, labels);
  }

  Result<Classifier> classifier(const TrainedValues& values) const {
    FineTuneSpec spec = spec_;
    INK_TRY(Graph graph, trained_graph(plan_->base, spec, values));
    Classifier classifier;
    classifier.input = plan_->input;
    classifier.classes = plan_->sets.train.rows().classes;
    classifier.model = classifier_model(std::move(graph), plan_->input, classifier.classes);
    return classifier;
  }

 private:
  Run(const TrainSettings& s, const TrainPlan& plan, Rows rows, FineTuneSpec spec,
      std::size_t batch, std::size_t pieces, Trainer trainer)
      : settings_(&s),
        plan_(&plan),
        rows_(std::move(rows)),
        spec_(spec),
        batch_(batch),
        pieces_(pieces),
        trainer_(std::move(trainer)) {
    const auto classes = static_cast<std::size_t>(spec_.classes);
    weights_ = s.balance == "weights" ? class_weights(train_labels(), classes)
                                      : std::vector<double>(classes, 1.0);
  }

  std::vector<std::uint32_t> train_labels() const {
    std::vector<std::uint32_t> labels;
    for (const std::size_t row : plan_->train_rows)
      labels.push_back(plan_->sets.train.rows().labels[row]);
    return labels;
  }

  // The rows of an epoch in the order in which they are learnt from.
  std::vector<std::size_t> order_of(std::size_t epoch) const {
    std::vector<std::size_t> order = plan_->train_rows;
    if (settings_->balance == "sampling") {
      order.clear();
      for (const std::size_t i : balanced_rows(train_labels(), settings_->seed, epoch))
        order.push_back(plan_->train_rows[i]);
    } else {
      Rng(settings_->seed, "shuffle", epoch).shuffle(order);
    }
    return order;
  }

  Result<void> fill_plain(std::size_t row, std::span<float> to) const {
    if (plan_->caches_features) return rows_.fill(row, 0, to);
    Bytes room;
    return plan_->input.fill(plan_->sets.train, row, room, to);
  }

  // With a thread to spare, pictures of the next step are decoded during this one.
  void ask_for(std::span<const std::size_t> rows) {
    if (rows_.ahead && settings_->threads > 1) rows_.ahead->ask(rows);
  }

  const TrainSettings* settings_;
  const TrainPlan* plan_;
  Rows rows_;
  FineTuneSpec spec_;
  std::size_t batch_, pieces_;
  std::vector<double> weights_;  // of classes
  Trainer trainer_;
};

bool is_better(const EpochRecord& a, const EpochRecord& b) {
  return a.validation_accuracy != b.validation_accuracy
             ? a.validation_accuracy > b.validation_accuracy
             : a.validation_nll < b.validation_nll;
}

// Begins a folder, or takes up what is in it.
Result<Checkpoint> begin(const TrainSettings& s, const std::string& text, Trainer& trainer) {
  const Path path = s.out / "checkpoint.bin";
  Checkpoint checkpoint;
  checkpoint.settings = text;
  if (!std::filesystem::exists(path)) return checkpoint;
  if (!s.resume) {
    if (s.force) return checkpoint;
    return fail(ErrorCode::kFailedPrecondition, s.out.string(),
                ": holds a run already: --resume it, --force over it, or choose another --out");
  }
  INK_TRY(const Bytes bytes, read_file(path, kCheckpointBytesMax));
  auto found = decode_checkpoint(bytes);
  if (!found) return fail_within(std::move(found).error(), path.string());
  if (found->settings != text) {
    return fail(ErrorCode::kFailedPrecondition, path.string(),
                ": begun with other settings, which are in run.toml beside it");
  }
  INK_CHECK_OK(trainer.restore_state(found->state));
  return found;
}

bool is_finished(const TrainSettings& s, const Checkpoint& c) {
  return c.history.size() >= s.epochs ||
         (s.patience > 0 && c.history.size() > c.best_epoch + s.patience);
}

}  // namespace

Result<TrainPlan> plan_training(const TrainSettings& s) {
  if (s.base.empty() == s.layers.empty())
    return fail(ErrorCode::kInvalidArgument, "train: expected either --base or --layers");
  if (!s.patch.empty() && (s.base.empty() || s.from_scratch))
    return fail(ErrorCode::kInvalidArgument, "--patch: what is trained from scratch has no base");
  TrainPlan plan;
  const bool all = !s.layers.empty() || s.from_scratch;
  INK_TRY(plan.choice, parse_train_choice(s.train.empty() ? (all ? "all" : "head") : s.train));
  INK_CHECK_OK(is_table_file(s.data) ? plan_table(s, plan) : plan_pictures(s, plan));
  const LabelledRows& set = plan.sets.train.rows();
  Split split = split_rows(set.labels, set.groups, s.validation, s.seed);
  plan.validation_rows = std::move(split.validation);
  plan.train_rows = std::move(split.train);
  if (s.per_class > 0) {
    std::vector<std::uint32_t> labels;
    for (const std::size_t row : plan.train_rows) labels.push_back(set.labels[row]);
    std::vector<std::size_t> few;
    for (const std::size_t i : few_of_each(labels, s.per_class, s.seed))
      few.push_back(plan.train_rows[i]);
    plan.train_rows = std::move(few);
  }
  if (plan.sets.train.table() && s.base.empty()) {
    INK_TRY(plan.base, standardized(plan.base, *plan.sets.train.table(), plan.train_rows));
  }
  plan.base_parameters = numbers_in(plan.base);
  plan.caches_features = plan.choice.part == TrainPart::kHead && !augmentation_of(s).any();
  return plan;
}

Result<TrainEstimate> estimate_training(const TrainSettings& settings, const TrainPlan& plan) {
  INK_TRY(Run run, Run::create(settings, plan));
  TrainEstimate estimate = run.estimate();
  std::vector<std::size_t> rows = plan.train_rows;
  rows.resize(std::min(settings.batch, rows.size()));
  INK_CHECK_OK(run.fill(rows, 0));
  run.trainer().step(0);
  std::vector<double> seconds;
  for (const auto start = steady_now();
       seconds.size() < kTimedStepsMin || seconds_since(start) < kTimedSeconds;) {
    const auto begin = steady_now();
    INK_CHECK_OK(run.fill(rows, 0));
    run.trainer().step(0);
    seconds.push_back(seconds_since(begin));
  }
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  estimate.step_seconds = *middle;
  return estimate;
}

Result<TrainResult> run_training(const TrainSettings& settings, const std::string& settings_text,
                                 const TrainPlan& plan, Console& console) {
  const auto start = steady_now();
  console.progress(plan.caches_features ? "computing features" : "planning");
  INK_TRY(Run run, Run::create(settings, plan));
  INK_TRY(Checkpoint progress, begin(settings, settings_text, run.trainer()));
  INK_CHECK_OK(write_file(settings.out / "run.toml", as_bytes(settings_text)));
  const std::size_t first = progress.history.size();
  while (!is_finished(settings, progress)) {
    const std::size_t epoch = progress.history.size();
    const auto epoch_start = steady_now();
    INK_TRY(const double loss, run.train_epoch(epoch, [&](std::size_t step) {
      if (step % kProgressEvery != 0) return;
      const std::size_t steps = run.steps_per_epoch();
      const auto done = static_cast<double>((epoch - first) * steps + step);
      const auto all = static_cast<double>((settings.epochs - first) * steps);
      console.progress(concat("epoch ", epoch + 1, " of ", settings.epochs, ": step ", step, " of ",
                              steps, ", ", format_number(seconds_since(start) * (all / done - 1)),
                              " s left"));
    }));
    EpochRecord record{.loss = loss};
    if (!plan.validation_rows.empty()) {
      INK_TRY(const Evaluation validation, run.validate(plan.validation_rows));
      record.validation_accuracy = validation.accuracy;
      record.validation_nll = validation.nll;
    }
    record.seconds = seconds_since(epoch_start);
    // Without a part to choose by, the last epoch is taken.
    const bool best = epoch == 0 || plan.validation_rows.empty() ||
                      is_better(record, progress.history[progress.best_epoch]);
    progress.history.push_back(record);
    if (best) {
      progress.best_epoch = epoch;
      progress.best_parameters = run.trainer().get_averages();
    }
    progress.state = run.trainer().save_state();
    INK_CHECK_OK(write_file(settings.out / "checkpoint.bin", encode_checkpoint(progress)));
    console.progress(concat("epoch ", epoch + 1, " of ", settings.epochs, ": loss ",
                            format_number(loss), ", validation accuracy ",
                            format_number(record.validation_accuracy)));
  }
  TrainResult result;
  result.history = progress.history;
  result.best_epoch = progress.best_epoch;
  result.estimate = run.estimate();
  result.values = values_by_name(run.trainer().parameters(), progress.best_parameters);
  if (!settings.patch.empty()) {
    INK_TRY(result.values, rounded_for_patch(result.values));
  }
  INK_TRY(result.classifier, run.classifier(result.values));
  result.parameters = numbers_in(result.classifier.model.graph);
  if (!plan.validation_rows.empty()) {
    std::vector<float> parameters(run.trainer().parameter_count());
    copy_values(result.values, run.trainer().parameters(), parameters);
    INK_CHECK_OK(run.trainer().set_parameters(parameters));
    INK_TRY(result.validation, run.validate(plan.validation_rows));
  }
  if (plan.sets.test) {
    INK_TRY(const Tensor probabilities,
            classify(result.classifier, *plan.sets.test, settings.threads));
    result.test = evaluate(probabilities, plan.sets.test->rows().labels);
  }
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace inkling::tools
