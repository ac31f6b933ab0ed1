#include "tools/measure.h"

#include <sys/resource.h>

namespace inkling::tools {

double seconds_since(SteadyTime start) {
  return std::chrono::duration<double>(steady_now() - start).count();
}

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;  // Linux gives KiB
}

}  // namespace inkling::tools
