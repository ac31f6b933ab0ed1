#pragma once
// Coordinator: a federated task on the server, from the first model to the last round, without
// sockets or threads.
//
// It seats the devices that ask to join, plays each round through secagg::Server, merges the mean
// update into the global model (federated averaging, McMahan et al., AISTATS 2017) and stores every
// model version. Whatever must survive a crash is in SQLite before it is acknowledged: a
// Coordinator that is opened again on the same folder goes on in the same round, with the same
// question asked, or drops the attempt cleanly.
//
// Once something could not be written, the machine in memory is ahead of the disk: every later call
// fails with kIo and nothing more is sent or acknowledged. Open another Coordinator on the folder.
//
// A round opens when a device asks to join and closes as fl-sa/1 says; an attempt that ends without
// enough devices is followed by another with fresh keys. One thread at a time.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "federated/task.h"
#include "server-sim/coordinator/round_store.h"

namespace inkling {

struct CoordinatorSpec {
  secagg::TaskId task{};
  federated::Plan plan;
  // Cohort limits, drop-out allowance, ring, clip, scale, deadlines. The dimension is taken from
  // the model.
  secagg::Config config;
  std::uint64_t rounds = 1;
  double server_rate = 1.0;       // how much of the mean update the global model takes
  std::uint32_t retry_ms = 1000;  // told to devices for which there is no seat
};

class Coordinator {
 public:
  // Opens or creates the folder (rounds.sqlite). `initial_model` is the model of the first round
  // when the folder is new. The entropy source must outlive the coordinator.
  static Result<Coordinator> open(const CoordinatorSpec& spec, secagg::Identity server,
                                  const secagg::PublicKey& authority, const Path& folder,
                                  const Bytes& initial_model, secagg::EntropySource& entropy);
  Coordinator(Coordinator&&) noexcept;
  Coordinator& operator=(Coordinator&&) noexcept;
  ~Coordinator();

  // The three requests of a device. Times are Unix milliseconds.
  Result<Bytes> join(const secagg::ClientId& client, std::int64_t now_ms);  // an encoded Invitation
  // The message that the device should have now, unless its newest one is of that type: then empty.
  // Members of an attempt that is over get its Result. kNotFound: an attempt that never was, or not
  // a member. kFailedPrecondition: it dropped out.
  Result<Bytes> poll(const secagg::ClientId& client, const secagg::Attempt& attempt,
                     std::uint8_t have);
  // Acknowledges without effect what comes when the attempt is over: the Result will say so.
  Result<void> receive(const secagg::ClientId& client, const secagg::Attempt& attempt,
                       ByteSpan message, std::int64_t now_ms);

  // Closes phases whose deadline has passed. Call it a few times a second.
  Result<void> tick(std::int64_t now_ms);

  // Grows whenever a poll may have a new answer.
  std::uint64_t version() const;
  std::uint64_t rounds_done() const;
  bool finished() const;  // all rounds are done

  const Bytes& model() const;  // the global model as it is sent
  Result<std::vector<RoundReport>> reports();

 private:
  struct State;
  explicit Coordinator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
