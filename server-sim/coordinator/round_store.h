#pragma once
// RoundStore: what the coordinator must not forget, in SQLite: the global models, the attempt that
// is open with its journal, and what every finished attempt came to.
//
// Every call is one durable transaction. The journal holds the records of secagg::Server, in order,
// for the open attempt only: finishing an attempt stores its outcome and the model that it made and
// erases the journal, all in one. One thread.

#include <optional>
#include <vector>

#include "server-sim/secagg/secagg_server.h"
#include "storage/database.h"

namespace inkling {

struct OpenAttempt {
  secagg::Attempt attempt;
  secagg::Hash nonce{};
  std::int64_t opened_ms = 0;  // Unix time
};

struct DroppedClient {
  secagg::ClientId client{};
  int phase = 0;  // secagg::ServerPhase in which it did not answer
};

struct RoundReport {
  secagg::Attempt attempt;
  secagg::RoundCode code = secagg::RoundCode::kOk;
  std::string reason;                    // one line, when aborted
  std::vector<secagg::ClientId> roster;  // U1
  std::vector<DroppedClient> dropped;
  std::uint32_t survivors = 0;     // |U3|
  std::vector<std::uint64_t> sum;  // the unmasked ring values; empty when aborted
  Bytes result;                    // the signed Result that its members get
  // What the masked metrics add up to, over all survivors; empty when aborted or without metrics.
  std::vector<double> metric_sums = {};
  // The round is done with this attempt. False for aborted ones, and for the groups of a round
  // before its last.
  bool closes_round = true;
};

// The mean update of one group of a round that is not done yet.
struct GroupMean {
  double weight = 0;
  std::vector<float> delta;
};

// What an attempt leaves behind besides its report.
struct RoundProducts {
  Bytes model;      // the next global model; empty when there is none
  Bytes optimizer;  // the server optimizer's state after it
  Bytes mechanism;  // as which its noise counts (encode_mechanism); empty when nothing was learnt
  std::optional<GroupMean> group = {};  // kept until the round is done
};

class RoundStore {
 public:
  static Result<RoundStore> open(const Path& path);

  Result<std::optional<OpenAttempt>> open_attempt();
  Result<void> begin(const OpenAttempt& attempt);  // kFailedPrecondition: one is open
  Result<void> append(ByteSpan record);            // to the open attempt's journal
  Result<std::vector<Bytes>> journal();
  // Closes the open attempt.
  Result<void> finish(const RoundReport& report, const RoundProducts& products);

  // Of the round that is not done yet, in the order of their attempts.
  Result<std::vector<GroupMean>> groups();

  Result<Bytes> optimizer();                // the newest state; empty before the first
  Result<std::vector<Bytes>> mechanisms();  // of all attempts whose sum was learnt, oldest first

  // The newest global model; kNotFound before the first.
  Result<Bytes> model();
  Result<void> put_first_model(ByteSpan model);
  Result<std::vector<Bytes>> models();  // oldest first

  Result<std::vector<RoundReport>> reports();  // oldest first
  Result<std::optional<RoundReport>> report(const secagg::Attempt& attempt);

 private:
  explicit RoundStore(Database database) : database_(std::move(database)) {}
  Database database_;
};

}  // namespace inkling
