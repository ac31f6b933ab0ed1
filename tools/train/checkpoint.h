#pragma once
// Checkpoint: a training run after an epoch, in one file that is there whole or not at all.
//
//   bytes 0-7    "INKTRAIN"
//   bytes 8-39   SHA-256 of the rest
//   bytes 40-47  u64 little-endian: length of the JSON text
//   JSON         epoch, the run's settings, its history
//   f32 ...      state of the trainer, then the best parameters so far

#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace inkling::tools {

struct EpochRecord {
  double loss = 0, validation_accuracy = 0, validation_nll = 0, seconds = 0;
};

struct Checkpoint {
  std::string settings;  // a run goes on only with the settings it began with
  std::vector<EpochRecord> history;
  std::size_t best_epoch = 0;          // index into history
  std::vector<float> state;            // Trainer::save_state
  std::vector<float> best_parameters;  // Trainer::get_parameters after the best epoch
};

Bytes encode_checkpoint(const Checkpoint& checkpoint);
Result<Checkpoint> decode_checkpoint(ByteSpan bytes);  // kCorrupt

}  // namespace inkling::tools
