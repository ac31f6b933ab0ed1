#pragma once
// Where `inkling tune` keeps which kernels are fastest: a JSON file, of any number of CPUs.
//
//   {"schema_version": 1,
//    "choices": [{"cpu": "...", "node": "conv2d f32[1, 56, 56, 64] ...", "kernel": "conv2d_gemm"}]}
//
// Entries of other CPUs are kept and not used. Nobody needs to trust such a file: a kernel that
// does not exist, or does not accept the node, is passed over by the session.

#include <optional>
#include <string>

#include "runtime/base/file.h"
#include "runtime/kernel_search.h"

namespace CLI {
class App;
}

namespace inkling::tools {

inline constexpr std::uint64_t kKernelCacheBytesMax = 64u << 20;

// The choices for this CPU. kNotFound: no such file. kCorrupt: not a file of this kind, and why.
// kUnsupported: made by a newer version.
Result<KernelChoice> read_kernel_cache(const Path& path);

// Files what was found for this CPU: all nodes that were measured, so that an earlier choice for
// one of them goes when the default wins now. Everything else in the file stays. A missing file is
// made. Errors as above; kIo.
Result<void> update_kernel_cache(const Path& path, const KernelSearch& found);

// $XDG_CACHE_HOME/inkling/kernels.json, or that below ~/.cache.
Path default_kernel_cache();

// --tune FILE (or the environment's INK_TUNE) and --no-tune.
struct TuneOptions {
  Path file;
  bool off = false;
};
void add_tune_options(CLI::App& app, TuneOptions& options);

// The choices that the options ask for; none: the cost model's.
Result<KernelChoice> kernel_choice(const TuneOptions& options);

}  // namespace inkling::tools
