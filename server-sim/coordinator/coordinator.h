#pragma once
// Coordinator: a federated task on the server, from the first model to the last round, without
// sockets or threads.
//
// It seats the devices that ask to join, plays each round through secagg::Server, lets the server
// optimizer take the mean update into the global model (server_optimizer.h) and stores every model
// version. Whatever must survive a crash is in SQLite before it is acknowledged: a
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
#include <optional>
#include <string_view>
#include <vector>

#include "federated/privacy/accountant.h"
#include "federated/revocation.h"
#include "federated/task.h"
#include "server-sim/aggregator/group_mean.h"
#include "server-sim/aggregator/server_optimizer.h"
#include "server-sim/coordinator/round_store.h"

namespace inkling {

struct CoordinatorSpec {
  secagg::TaskId task{};
  federated::Plan plan;
  // Cohort limits, drop-out allowance, ring, clip, scale, deadlines. The dimension is taken from
  // the model.
  secagg::Config config;
  std::uint64_t rounds = 1;
  ServerOptimizerSpec optimizer;
  // An evaluation task: devices send masked metrics and no update, in a round of one coordinate,
  // and the model stays as it is.
  bool evaluates = false;
  // Grouped rounds: so many attempts, one after the other and no device in two of them, are each
  // aggregated by itself; then group_rule makes one update of their means. That stands poisoned
  // updates which one sum would hide (server-sim/aggregator/group_mean.h).
  std::uint32_t groups = 1;
  GroupMeanSpec group_rule = {};
  // The most that the task may come to. A round that would go beyond it is not begun: the task is
  // finished then. The config needs noise.
  std::optional<privacy::Budget> budget = {};
  // Over-selection: once so many updates are in, and the sum can be unmasked, the round does not
  // wait for the others (Bonawitz et al., MLSys'19). 0: waits for all.
  std::uint32_t updates_wanted = 0;
  // While unmasking, how long shares may still come in once there are enough: spares catch liars.
  std::uint32_t spare_shares_ms = 1000;
  // Pace steering: a device for which there is no seat is told to come back after about retry_ms
  // for each cohort's worth of devices that wait, up to retry_max_ms, spread by half either way.
  std::uint32_t retry_ms = 1000, retry_max_ms = 10 * 60 * 1000;
  // How long a device may take a model as the newest (federated/manifest.h). Signed again halfway.
  std::int64_t manifest_valid_ms = std::int64_t{7} * 24 * 3600 * 1000;
};

// Counts since this coordinator was opened.
struct CoordinatorStats {
  std::uint64_t seats_given = 0, joins_deferred = 0, joins_refused = 0;
  std::uint64_t messages_accepted = 0, messages_refused = 0;
  std::uint64_t rounds_ok = 0, groups_ok = 0, attempts_aborted = 0;
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
  // request: of join_request.h. The answer is an encoded Invitation. kVerification: not from this
  // client, or the client is revoked.
  Result<Bytes> join(const secagg::ClientId& client, ByteSpan request, std::int64_t now_ms);
  // The message that the device should have now, unless its newest one is of that type: then empty.
  // Members of an attempt that is over get its Result. kNotFound: an attempt that never was, or not
  // a member. kFailedPrecondition: it dropped out.
  Result<Bytes> poll(const secagg::ClientId& client, const secagg::Attempt& attempt,
                     std::uint8_t have);
  // Whether the device may be kept waiting for news of the open attempt: it proved to be itself to
  // get a seat, or is a member. Anybody else has nothing to wait for, and would hold a thread.
  bool may_wait(const secagg::ClientId& client) const;
  // Acknowledges without effect what comes when the attempt is over: the Result will say so.
  Result<void> receive(const secagg::ClientId& client, const secagg::Attempt& attempt,
                       ByteSpan message, std::int64_t now_ms);

  // Devices that may no longer join; from then on. kFailedPrecondition: older than the list at
  // hand.
  Result<void> set_revocations(federated::Revocations list);
  // Ends the open attempt without a result; another follows when devices ask. kFailedPrecondition:
  // none is open.
  Result<void> cancel(std::int64_t now_ms);

  // Closes phases whose deadline has passed. Call it a few times a second.
  Result<void> tick(std::int64_t now_ms);

  // Grows whenever a poll may have a new answer.
  std::uint64_t version() const;
  std::uint64_t rounds_done() const;
  bool finished() const;   // all rounds are done, or the privacy budget is
  bool exhausted() const;  // the privacy budget is

  const Bytes& model() const;  // the global model as it is sent
  const CoordinatorStats& stats() const;
  // The open attempt's phase and answers so far in it; nullopt between attempts.
  struct Progress {
    secagg::Attempt attempt;
    secagg::ServerPhase phase = secagg::ServerPhase::kAdvertising;
    std::uint32_t answered = 0, cohort = 0;
  };
  std::optional<Progress> progress() const;
  // At the budget's delta, or at 1e-6; nullopt when rounds have no noise.
  Result<std::optional<privacy::Spent>> spent() const;
  Result<std::vector<RoundReport>> reports();

 private:
  struct State;
  explicit Coordinator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
