#pragma once
// The conjoint survey on digital cameras of R's bayesm (Allenby, Brazell, Howell and Rossi,
// "Economic Valuation of Product Features", QME 12, 2014): 332 people chose 16 times among four
// cameras and "none of these".
//
// Features: the brands canon, sony, nikon and panasonic, then pixels, zoom, video, swivel and wifi
// as 0 or 1, and the price in hundreds of dollars; the schema adds is_none. A person's matrix has
// five rows a task, task after task. The first 12 tasks train, the last 4 test.

#include "runtime/base/file.h"
#include "tools/datasets/choice_data.h"

namespace inkling {

inline constexpr std::string_view kCameraFile = "/usr/lib/R/site-library/bayesm/data/camera.RData";
inline constexpr std::size_t kCameraTasks = 16;
inline constexpr std::size_t kCameraTrainTasks = 12;
inline constexpr std::size_t kCameraAlternatives = 5;  // the last is "none"

// Users count from 1, items are a person's rows from 1, tasks are a minute apart.
// kNotFound says which package to install; kCorrupt, kInvalidArgument and the errors of
// read_rdata() name the file and what is unlike the survey.
Result<ChoiceData> load_camera(const Path& file = Path(kCameraFile));

}  // namespace inkling
