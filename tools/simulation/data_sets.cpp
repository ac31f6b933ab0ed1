#include "tools/simulation/data_sets.h"

#include <algorithm>
#include <array>

#include "autograd/data/fashion_mnist.h"
#include "rerank/encoded_slate.h"
#include "tools/datasets/camera.h"
#include "tools/datasets/margarine.h"
#include "tools/datasets/movielens.h"
#include "tools/datasets/student_ratings.h"

namespace inkling::tools {

namespace {

// Mean and standard deviation of Fashion-MNIST's training pixels, in units of a byte.
constexpr float kPixelMean = 72.94f, kPixelDeviation = 90.02f;

Result<ExampleSet> pictures(DataSplit split, const Path& folder) {
  INK_TRY(LabelledImages data, load_fashion_mnist(split, folder));
  std::vector<std::uint32_t> labels(data.labels.begin(), data.labels.end());
  const Images& images = data.images;
  const Shape features = {static_cast<std::int64_t>(images.height),
                          static_cast<std::int64_t>(images.width), 1};
  return ExampleSet::from_pixels(features, std::move(data.images.pixels), kPixelMean,
                                 kPixelDeviation, std::move(labels),
                                 static_cast<std::uint32_t>(kFashionMnistClasses.size()));
}

Result<TrainAndTest> fashion_mnist(const Path& folder) {
  INK_TRY(ExampleSet train, pictures(DataSplit::kTrain, folder));
  INK_TRY(ExampleSet test, pictures(DataSplit::kTest, folder));
  return TrainAndTest{std::move(train), std::move(test)};
}

// Slates of up to `places` alternatives as examples, features [places, width]. Where slates have
// fewer, a last feature is 0 for an alternative and kEmpty for a place without one: the offset of
// Architecture's offset_logit.
class Slates {
 public:
  Slates(const FeatureSchema& schema, std::size_t places, bool has_offset)
      : schema_(&schema),
        places_(places),
        width_(schema.width() + (has_offset ? 1 : 0)),
        has_offset_(has_offset) {}

  Result<void> append(const Slate& slate, std::uint32_t owner) {
    INK_TRY(const EncodedSlate encoded, encode_slate(slate, *schema_));
    if (encoded.alternatives > places_ || (!has_offset_ && encoded.alternatives != places_)) {
      return fail(ErrorCode::kUnsupported, "a slate of ", encoded.alternatives,
                  " alternatives, expected ", places_);
    }
    const std::size_t own = schema_->width(), begin = values_.size();
    values_.resize(begin + places_ * width_, 0.0f);
    for (std::size_t i = 0; i < places_; ++i) {
      float* row = values_.data() + begin + i * width_;
      if (i < encoded.alternatives) {
        std::copy_n(encoded.features.data() + i * own, own, row);
      } else {
        row[own] = kEmpty;
      }
    }
    choices_.push_back({.alternatives = static_cast<std::uint32_t>(encoded.alternatives),
                        .chosen = {encoded.chosen.begin(), encoded.chosen.end()}});
    owner_.push_back(owner);
    return {};
  }

  Result<ExampleSet> examples() {
    const Shape features = {static_cast<std::int64_t>(places_), static_cast<std::int64_t>(width_)};
    return ExampleSet::from_slates(features, std::move(values_), choices_);
  }
  std::vector<std::uint32_t> owner() const { return owner_; }

 private:
  static constexpr float kEmpty = -1e4f;  // e^-10000 is 0

  const FeatureSchema* schema_;
  std::size_t places_, width_;
  bool has_offset_;
  std::vector<float> values_;
  std::vector<SlateChoice> choices_;
  std::vector<std::uint32_t> owner_;
};

// A slate in which nothing or everything is chosen says nothing about an order.
bool is_telling(const Slate& slate) {
  return !slate.chosen.empty() && slate.chosen.size() < slate.candidates.size();
}

Result<TrainAndTest> choices(const ChoiceData& data, std::size_t places, bool has_offset) {
  Slates train(data.schema, places, has_offset), test(data.schema, places, has_offset);
  std::uint32_t people = 0;
  for (const Person& person : data.people) {
    const bool trains = std::any_of(person.train.begin(), person.train.end(), is_telling);
    const std::uint32_t owner = trains ? people++ : kNobody;
    for (const Slate& slate : person.train)
      if (is_telling(slate)) INK_CHECK_OK(train.append(slate, owner));
    for (const Slate& slate : person.test)
      if (is_telling(slate)) INK_CHECK_OK(test.append(slate, owner));
  }
  INK_TRY(ExampleSet train_set, train.examples());
  INK_TRY(ExampleSet test_set, test.examples());
  return TrainAndTest{std::move(train_set), std::move(test_set), train.owner(), test.owner()};
}

// Every fifth rating of a student tests.
constexpr std::size_t kStudentTestEvery = 5;

struct Rows {
  std::vector<std::uint32_t> active, labels, owner;

  void append(const StudentRating& rating) {
    active.insert(active.end(), rating.columns.begin(), rating.columns.end());
    labels.push_back(rating.value - 1);
    owner.push_back(rating.student);
  }
  Result<ExampleSet> examples(std::size_t width) {
    return ExampleSet::from_active(width, std::move(active), std::move(labels), kStudentRatingMax);
  }
};

Result<TrainAndTest> students(const Path& stem) {
  INK_TRY(const StudentRatings data, load_student_ratings(stem));
  Rows train, test;
  std::size_t seen = 0;  // of the student
  for (std::size_t i = 0; i < data.ratings.size(); ++i) {
    if (i > 0 && data.ratings[i].student != data.ratings[i - 1].student) seen = 0;
    (++seen % kStudentTestEvery == 0 ? test : train).append(data.ratings[i]);
  }
  INK_TRY(ExampleSet train_set, train.examples(data.width));
  INK_TRY(ExampleSet test_set, test.examples(data.width));
  return TrainAndTest{std::move(train_set), std::move(test_set), std::move(train.owner),
                      std::move(test.owner)};
}

}  // namespace

Result<TrainAndTest> load_data_set(std::string_view name, const Path& path) {
  const auto from = [&](std::string_view packaged) { return path.empty() ? Path(packaged) : path; };
  if (name == "fashion-mnist") return fashion_mnist(from(kFashionMnistFolder));
  if (name == "camera") {
    INK_TRY(const ChoiceData data, load_camera(from(kCameraFile)));
    return choices(data, kCameraAlternatives, false);
  }
  if (name == "margarine") {
    INK_TRY(const ChoiceData data, load_margarine(from(kMargarineFile)));
    return choices(data, kMargarineProducts, false);
  }
  if (name == "movielens") {
    INK_TRY(const ChoiceData data, load_movielens(from(kMovieLensStem)));
    return choices(data, kMovieLensPage, true);
  }
  if (name == "students") return students(from(kStudentRatingsStem));
  return fail(ErrorCode::kInvalidArgument, "data.set '", name,
              "': expected fashion-mnist, camera, margarine, movielens or students");
}

Result<std::shared_ptr<const TrainAndTest>> DataSets::get(const std::string& name,
                                                          const Path& path) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const TrainAndTest>& sets = loaded_[{name, path}];
  if (sets == nullptr) {
    INK_TRY(TrainAndTest loaded, load_data_set(name, path));
    sets = std::make_shared<const TrainAndTest>(std::move(loaded));
  }
  return sets;
}

}  // namespace inkling::tools
