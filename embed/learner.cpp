// The learner of the C interface: autograd/learner.h.

#include "autograd/learner.h"

#include "embed/c_call.h"

namespace {

using namespace inkling;

constexpr std::uint64_t kPatchBytesMax = std::uint64_t{1} << 30;

// The app's clock, or the system's.
class LearnerClock final : public Clock {
 public:
  explicit LearnerClock(const ink_learner_options& hooks) : hooks_(hooks) {}
  std::int64_t unix_ms() const override { return system_.unix_ms(); }
  std::int64_t steady_ms() const override {
    return hooks_.steady_ms ? hooks_.steady_ms(hooks_.context) : system_.steady_ms();
  }

 private:
  ink_learner_options hooks_;
  SystemClock system_;
};

Result<LearnerOptions> options_of(const ink_learner_options& given) {
  if (given.model == nullptr) return bad("model is null");
  if (given.classes == nullptr && given.class_count > 0) return bad("classes is null");
  LearnerOptions options{.seed = given.seed};
  if (given.train != nullptr) options.train = given.train;
  if (given.features != nullptr) options.features = given.features;
  if (given.examples_max != 0) options.examples_max = given.examples_max;
  for (std::size_t i = 0; i < given.class_count; ++i) {
    if (given.classes[i] == nullptr) return bad("a class name is null");
    options.classes.emplace_back(given.classes[i]);
  }
  if (given.run_tasks != nullptr) {
    options.plan.executor = {
        .threads = given.threads, .run = given.run_tasks, .context = given.context};
  }
  return options;
}

}  // namespace

struct ink_learner {
  explicit ink_learner(const ink_learner_options& hooks) : clock(hooks) {}
  LearnerClock clock;
  std::optional<Learner> learner;  // empty: opening failed
  std::string error;

  void note(const Error& failure) { error = failure.message; }
};

namespace {

// Calls `body` with the learner.
template <typename Body>
ink_status with_learner(ink_learner* handle, const Body& body) {
  return guarded(handle, [&]() -> Result<void> {
    if (!handle->learner) return fail(ErrorCode::kFailedPrecondition, "learner: it was not opened");
    return body(*handle->learner);
  });
}

Result<std::span<const float>> example_of(const float* example, std::size_t floats) {
  if (example == nullptr) return bad("example is null");
  return std::span(example, floats);
}

}  // namespace

ink_status ink_learner_open(const ink_learner_options* options, ink_learner** learner) {
  if (learner == nullptr) return INK_INVALID_ARGUMENT;
  *learner = nullptr;
  ink_learner_options known{};
  if (!read_sized(options, known)) return INK_INVALID_ARGUMENT;
  *learner = new ink_learner(known);
  return guarded(*learner, [&]() -> Result<void> {
    INK_TRY(const LearnerOptions own, options_of(known));
    INK_TRY((*learner)->learner, Learner::open(known.model, own, (*learner)->clock));
    return {};
  });
}

void ink_learner_close(ink_learner* learner) { delete learner; }

const char* ink_learner_error(const ink_learner* learner) {
  return learner == nullptr ? "" : learner->error.c_str();
}

ink_status ink_learner_sizes(ink_learner* learner, size_t* example_floats, size_t* class_count) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    if (example_floats != nullptr) *example_floats = own.example_size();
    if (class_count != nullptr) *class_count = own.classes().size();
    return {};
  });
}

ink_status ink_learner_observe(ink_learner* learner, const float* example, size_t floats,
                               uint32_t label) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    INK_TRY(const auto values, example_of(example, floats));
    return own.observe(values, label);
  });
}

ink_status ink_learner_predict(ink_learner* learner, const float* example, size_t floats,
                               float* probabilities, size_t class_count) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    if (probabilities == nullptr) return bad("probabilities is null");
    if (class_count != own.classes().size()) {
      return fail(ErrorCode::kInvalidArgument, "learner: room for ", class_count,
                  " probabilities, expected ", own.classes().size());
    }
    INK_TRY(const auto values, example_of(example, floats));
    INK_TRY(const auto predicted, own.predict(values));
    std::copy(predicted.begin(), predicted.end(), probabilities);
    return {};
  });
}

ink_status ink_learner_adapt(ink_learner* learner, int64_t budget_ms, size_t memory_bytes,
                             size_t steps_max, double rate, ink_learning* result) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    AdaptSpec spec{.budget_ms = budget_ms, .memory_bytes = memory_bytes};
    if (steps_max != 0) spec.steps_max = steps_max;
    if (rate != 0) spec.rate = rate;  // NAN too, which is refused
    INK_TRY(const AdaptReport report, own.adapt(spec));
    if (result == nullptr) return {};
    const ink_learning out{.struct_size = result->struct_size,
                           .steps = report.steps,
                           .batch = report.batch,
                           .examples = own.examples().count(),
                           .memory_bytes = report.memory_bytes,
                           .first_loss = report.first_loss,
                           .last_loss = report.last_loss,
                           .out_of_time = report.out_of_time};
    std::memcpy(result, &out, std::min(result->struct_size, sizeof(out)));
    return {};
  });
}

ink_status ink_learner_save_patch(ink_learner* learner, const char* path) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    if (path == nullptr) return bad("path is null");
    INK_TRY(const Bytes patch, own.save_patch());
    return write_file(path, patch);
  });
}

ink_status ink_learner_load_patch(ink_learner* learner, const char* path) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    if (path == nullptr) return bad("path is null");
    INK_TRY(const Bytes patch, read_file(path, kPatchBytesMax));
    return own.load_patch(patch);
  });
}

ink_status ink_learner_forget(ink_learner* learner, int patch, int examples) {
  return with_learner(learner, [&](Learner& own) -> Result<void> {
    if (examples != 0) own.forget_examples();
    if (patch != 0) return own.drop_patch();
    return {};
  });
}
