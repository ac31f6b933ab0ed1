#pragma once
// Participant: one device's part in a federated task, over any Transport.
//
// take_part() asks for a seat, trains on the device's own data when it gets one, and plays the
// round to its end through secagg::Client. Nothing but masked values leaves the device. The state
// of a round is written to the device's KeyValue before each message is sent, so that a device that
// is stopped at any point goes on where it was, resends the same bytes, and never answers two
// different questions; a round that it has finished or left is never joined again. That state is
// sealed under the device's identity. A seat is taken only for a model with a manifest that holds,
// of no older version than the device has seen (manifest.h).
//
// The host decides when a device may take part (idle, charging, unmetered), and retries after
// kNetwork with a pause of its choosing. One thread at a time.

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "federated/privacy/ledger.h"
#include "federated/secagg/client.h"
#include "federated/task.h"
#include "federated/transport.h"
#include "federated/update.h"
#include "runtime/base/clock.h"
#include "storage/key_value.h"

namespace inkling::federated {

// What local training gives: how the parameters moved, and what the task measures on the device.
struct LocalUpdate {
  std::vector<float> delta;  // in the order of federated/parameters.h
  std::uint32_t weight = 1;
  std::vector<double> metrics = {};  // as many as the round's config asks for
};
using LocalTraining = std::function<Result<LocalUpdate>(const Plan& plan, const Bytes& model)>;

// How far a round has come: the message that the server has just acknowledged.
using Progress =
    std::function<void(std::string_view message)>;  // "advertise", "shares", "masked", "unmask"

struct ParticipantSpec {
  secagg::PublicKey authority{};  // certifies clients and the server
  secagg::Policy policy;
  // What has left this device is written there before it leaves; must outlive the participant. Null
  // only where nobody's data is at stake.
  privacy::Ledger* ledger = nullptr;
  // The most that a task may come to, whatever the server says: a round that would go beyond it, or
  // that has no noise at all, is refused (kResourceLimit) before training. Needs the ledger.
  std::optional<privacy::Budget> budget = {};
  std::int64_t patience_ms = 120'000;  // for one answer of the server
  // Where stochastic rounding draws from; null: the entropy source of the keys. An experiment that
  // must be reproducible gives a seeded one here, and here only: keys and noise are never seeded.
  secagg::EntropySource* rounding = nullptr;
  // Keeps the ring values that were masked, so that their sum can be checked against what the
  // server learnt.
  bool keeps_input = false;
  Progress progress = {};
};

struct Participation {
  Seat seat = Seat::kWait;     // kTaken: a round was played to its end
  std::uint32_t retry_ms = 0;  // kWait
  bool gave_update =
      false;  // kTaken: a masked update was sent; false: the round went on without it
  secagg::Attempt attempt;
  secagg::RoundResult result;  // kTaken
  std::uint64_t bytes_up = 0,
                bytes_down = 0;  // messages, plan and model; not HTTP, TLS or empty polls
};

class Participant {
 public:
  Participant(const ParticipantSpec& spec, const secagg::Identity& identity, Transport& transport,
              KeyValue& state, secagg::EntropySource& entropy, const Clock& clock)
      : spec_(spec),
        identity_(identity),
        transport_(transport),
        state_(state),
        entropy_(entropy),
        clock_(clock) {}

  // A round that ended without this device while it was stopped is left behind, and another seat
  // asked for. kNetwork: call again, also in another process. kProtocol, kVerification, kCorrupt:
  // the server broke the protocol; the round is left for good.
  Result<Participation> take_part(const LocalTraining& train);

 private:
  struct Round;
  struct FoundSeat {
    Invitation invitation;
    bool resumed;  // from an earlier life
  };
  Result<FoundSeat> find_seat(Participation& report);
  Result<void> take_seat(const Invitation& seat, ByteSpan invitation);
  Result<void> play_seat(Invitation seat, const LocalTraining& train, Participation& report);
  Result<void> play(Round& round, const LocalTraining& train, Participation& report);
  Result<void> give_input(Round& round, const LocalTraining& train, Participation& report);
  Result<Bytes> ask(Round& round, std::string_view what, ByteSpan body);
  std::int64_t longest_ms(const Round& round) const;
  Result<void> check_budget(const Round& round);
  Result<void> enter_in_ledger(const Round& round, std::uint64_t bytes);
  Result<void> send(Round& round, const secagg::Reply& reply, Participation& report);
  Result<secagg::Client> restore(ByteSpan sealed, const secagg::ClientTask& task) const;
  Result<void> leave(const Invitation& seat);
  secagg::Identity identity() const;

  ParticipantSpec spec_;
  const secagg::Identity& identity_;
  Transport& transport_;
  KeyValue& state_;
  secagg::EntropySource& entropy_;
  const Clock& clock_;
};

// Where Participant keeps the ring values of a round when it is told to (u64, little-endian).
std::string input_key(const secagg::Attempt& attempt);

}  // namespace inkling::federated
