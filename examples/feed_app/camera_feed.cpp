// camera_feed OUT: what a publisher would ship to feed_app, made of the camera survey:
// OUT/camera.bundle, a conditional logit over local history trained on everyone's first 12 choices,
// and OUT/camera.csv, everyone's 16 slates in the format of docs/rerank-data.md.

#include <cmath>
#include <fstream>
#include <iostream>

#include "rerank/bundle.h"
#include "rerank/conditional_logit.h"
#include "rerank/learn/replay.h"
#include "rerank/learn/taste_prior.h"
#include "tools/datasets/camera.h"

namespace inkling {
namespace {

constexpr double kRidge = 10;  // on columns of unit deviation

Result<HistoryLayout> make_layout(const ChoiceData& data) {
  std::vector<std::vector<EncodedSlate>> slates;
  for (const Person& person : data.people) {
    auto& own = slates.emplace_back();
    for (const Slate& slate : person.train) {
      INK_TRY(own.emplace_back(), encode_slate(slate, data.schema));
    }
  }
  INK_TRY(TastePrior prior, fit_taste_prior(slates, data.schema.width()));
  return HistoryLayout::create(data.schema, {.taste = std::move(prior)});
}

std::vector<float> deviations(std::span<const EncodedSlate> slates, std::size_t width) {
  std::vector<double> sum(width, 0.0), squares(width, 0.0);
  double rows = 0;
  for (const EncodedSlate& slate : slates) {
    rows += static_cast<double>(slate.alternatives);
    for (std::size_t i = 0; i < slate.features.size(); ++i) {
      const auto v = static_cast<double>(slate.features[i]);
      sum[i % width] += v;
      squares[i % width] += v * v;
    }
  }
  std::vector<float> deviation;
  for (std::size_t c = 0; c < width; ++c) {
    const double mean = sum[c] / rows, variance = squares[c] / rows - mean * mean;
    deviation.push_back(variance > 1e-12 ? static_cast<float>(std::sqrt(variance)) : 1.0f);
  }
  return deviation;
}

Result<Bytes> make_bundle(const ChoiceData& data) {
  INK_TRY(const HistoryLayout layout, make_layout(data));
  std::vector<EncodedSlate> slates;
  for (const Person& person : data.people) {
    History history(layout);
    INK_TRY(const auto examples, replay(history, person.train));
    for (const Example& e : examples) slates.push_back(e.slate);
  }
  const std::size_t width = layout.schema().width();
  const std::vector<float> deviation = deviations(slates, width);
  for (EncodedSlate& slate : slates)
    for (std::size_t i = 0; i < slate.features.size(); ++i)
      slate.features[i] /= deviation[i % width];
  INK_TRY(const ConditionalLogitFit fit,
          fit_conditional_logit(slates, width, {.ridge = kRidge, .gradient_norm_max = 1e-6}));
  const std::vector<float> weights(fit.weights.begin(), fit.weights.end());
  INK_TRY(Model model, scaled_logit_model(layout.schema(), deviation, weights));
  return encode_bundle({1, layout, std::move(model)});
}

// "None of these" has no features: its fields are empty.
void write_slate(std::ostream& csv, const Slate& slate, std::size_t features) {
  for (std::size_t i = 0; i < slate.candidates.size(); ++i) {
    const Candidate& c = slate.candidates[i];
    const bool chosen = !slate.chosen.empty() && slate.chosen.front() == i;
    csv << slate.user << "," << slate.request << "," << c.item << "," << chosen << "," << c.is_none;
    for (const FeatureValue& feature : c.features) csv << "," << std::get<double>(feature.value);
    for (std::size_t f = c.features.size(); f < features; ++f) csv << ",";
    csv << "\n";
  }
}

Result<void> make_feed(const Path& out) {
  INK_TRY(const ChoiceData data, load_camera());
  INK_TRY(const Bytes bundle, make_bundle(data));
  std::error_code error;
  std::filesystem::create_directories(out, error);
  INK_CHECK_OK(write_file(out / "camera.bundle", bundle));
  std::ofstream csv(out / "camera.csv");
  csv << "user,request,item,chosen,is_none";
  const auto& features = data.people.front().train.front().candidates.front().features;
  for (const FeatureValue& feature : features) csv << "," << feature.name;
  csv << "\n";
  for (const Person& person : data.people)
    for (const auto* slates : {&person.train, &person.test})
      for (const Slate& slate : *slates) write_slate(csv, slate, features.size());
  csv.close();
  if (!csv) return fail(ErrorCode::kIo, "write ", (out / "camera.csv").string());
  return {};
}

}  // namespace
}  // namespace inkling

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: camera_feed OUT\n";
    return 2;
  }
  const auto made = inkling::make_feed(argv[1]);
  if (!made) std::cerr << "camera_feed: " << made.error().message << "\n";
  return made ? 0 : 1;
}
