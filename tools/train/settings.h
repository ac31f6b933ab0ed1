#pragma once
// What `inkling train` is asked to do. Every member is a flag of the same name, and a key of the
// configuration file.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace inkling::tools {

struct TrainSettings {
  // What is trained.
  Path base;                        // a classifier; or none, and
  std::vector<std::string> shapes;  // NAME=SIZE,SIZE,... where an ONNX base leaves its sizes open
  std::string layers;               // a network (tools/train/network.h)
  std::string features_name;        // where to cut the base; empty: before its last layer
  std::string train;          // autograd/fine_tune.h; empty: the head of a base, all of a network
  bool from_scratch = false;  // the base's architecture with new initial values

  // On what.
  Path data, test_data;
  std::string label = "label", group, table;  // of a table: its columns, and which of a database
  std::vector<std::string> ignore;
  std::size_t data_memory_mb = 512;  // of decoded pictures that are kept, at most
  std::size_t size = 0;       // for a network: pictures become size x size; 0: as the first one
  std::size_t per_class = 0;  // only so many training pictures of each class; 0: all
  double validation = 0.1;    // share held back to choose by
  std::array<double, 3> mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
  bool flip = false;
  std::size_t shift = 0, cutout = 0;
  double color = 0, mixup = 0;
  std::string balance = "none";

  // How.
  std::size_t epochs = 10, batch = 32, patience = 0;  // patience 0: never stop early
  std::string optimizer = "adam", schedule = "cosine";
  double rate = 1e-3, warmup = 0, momentum = 0.9, weight_decay = 0, l1 = 0, clip_norm = 0,
         clip_value = 0, label_smoothing = 0, ema = 0;
  std::size_t accumulate = 1;  // pieces of a batch
  std::size_t memory_mb = 0;   // of the whole process; 0: no limit
  std::uint64_t seed = 1;
  unsigned threads = 2;

  // Where to.
  Path out = "build/train";
  Path model;  // empty: model.ink in `out`
  Path patch;  // empty: none; else all values are those that a patch can hold
  bool resume = false, force = false;
};

}  // namespace inkling::tools
