#include "tools/measure.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace inkling::tools {

double seconds_since(SteadyTime start) {
  return std::chrono::duration<double>(steady_now() - start).count();
}

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;  // Linux gives KiB
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");  // pages: the whole address space, then what is resident
  std::size_t size = 0, resident = 0;
  if (!(statm >> size >> resident)) return 0;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace inkling::tools
