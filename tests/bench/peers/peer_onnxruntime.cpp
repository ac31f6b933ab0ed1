// onnxruntime through the C interface of the library in npm's onnxruntime-node, without Node, which
// would add to each run. FILE is the path of libonnxruntime.so.1.
//
// The package has no header. OrtGetApiBase() gives a table of functions whose order is fixed
// (functions are only ever appended); the few that are needed are named here by their places.

#include <dlfcn.h>

#include <stdexcept>

#include "tests/bench/peers/worker.h"

namespace inkling::peers {
namespace {

struct Status;
struct Env;
struct Options;
struct OrtSession;
struct Value;
struct MemoryInfo;

constexpr std::uint32_t kApiVersion = 7;
enum Place {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kCreateTensorWithData = 49,
  kGetTensorMutableData = 51,
  kCreateCpuMemoryInfo = 69
};
constexpr int kWarnings = 2, kAllOptimizations = 99, kArenaAllocator = 1, kDefaultMemory = 0;
constexpr int kFloat = 1;

class Api {
 public:
  explicit Api(const std::string& library) {
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw std::runtime_error(dlerror());
    struct Base {
      const void* const* (*api)(std::uint32_t version);
      const char* (*version)();
    };
    const auto base = reinterpret_cast<const Base* (*)()>(dlsym(handle, "OrtGetApiBase"));
    if (!base || !(table_ = base()->api(kApiVersion)))
      throw std::runtime_error(library + ": not onnxruntime");
  }

  template <typename... Args>
  void call(Place place, Args... args) const {
    Status* status =
        reinterpret_cast<Status* (*)(Args...)>(const_cast<void*>(table_[place]))(args...);
    if (!status) return;
    const auto message = reinterpret_cast<const char* (*)(const Status*)>(
        const_cast<void*>(table_[kGetErrorMessage]));
    throw std::runtime_error(message(status));
  }

 private:
  const void* const* table_;
};

class OnnxruntimePeer : public Peer {
 public:
  OnnxruntimePeer(const PeerSpec& spec, const Example& example)
      : api_(spec.file), example_(example) {
    Env* env = nullptr;
    Options* options = nullptr;
    MemoryInfo* memory = nullptr;
    api_.call(kCreateEnv, kWarnings, "peers", &env);
    api_.call(kCreateSessionOptions, &options);
    api_.call(kSetGraphOptimizationLevel, options, kAllOptimizations);
    api_.call(kSetIntraOpNumThreads, options, static_cast<int>(spec.threads));
    api_.call(kSetInterOpNumThreads, options, 1);
    const std::string path = spec.folder + "/model.onnx";
    api_.call(kCreateSession, static_cast<const Env*>(env), path.c_str(),
              static_cast<const Options*>(options), &session_);
    api_.call(kCreateCpuMemoryInfo, kArenaAllocator, kDefaultMemory, &memory);
    for (Example::Input& input : example_.inputs) {
      api_.call(kCreateTensorWithData, static_cast<const MemoryInfo*>(memory),
                static_cast<void*>(input.values.data()), input.values.size() * sizeof(float),
                static_cast<const std::int64_t*>(input.sizes.data()), input.sizes.size(), kFloat,
                &values_.emplace_back(nullptr));
      names_.push_back(input.name.c_str());
    }
  }

  // The output tensor of the first run is written again by the others, which saves an allocation.
  void run() override {
    static constexpr const char* kOutput = "output";
    api_.call(kRun, session_, static_cast<const void*>(nullptr),
              static_cast<const char* const*>(names_.data()),
              static_cast<const Value* const*>(values_.data()), names_.size(), &kOutput,
              std::size_t{1}, &output_);
  }

  std::vector<float> output() override {
    float* data = nullptr;
    api_.call(kGetTensorMutableData, output_, reinterpret_cast<void**>(&data));
    return {data, data + example_.output.size()};
  }

 private:
  Api api_;
  Example example_;
  OrtSession* session_ = nullptr;
  std::vector<const char*> names_;
  std::vector<Value*> values_;
  Value* output_ = nullptr;
};

}  // namespace

std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example& example) {
  return std::make_unique<OnnxruntimePeer>(spec, example);
}

}  // namespace inkling::peers
