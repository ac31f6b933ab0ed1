#include "federated/privacy/ledger.h"

#include <algorithm>

#include "runtime/base/sha256.h"

namespace inkling::privacy {

namespace {

constexpr std::uint32_t kApplication = 0x696e6b70;  // "inkp"
constexpr std::array<std::string_view, 1> kSchema = {
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, when_ms INTEGER NOT NULL, task BLOB NOT NULL, "
    "round INTEGER NOT NULL, attempt INTEGER NOT NULL, what TEXT NOT NULL, bytes INTEGER NOT NULL, "
    "cohort_min INTEGER NOT NULL, noise TEXT NOT NULL, mechanism BLOB NOT NULL, "
    "digest BLOB NOT NULL, UNIQUE (task, round, attempt)) STRICT"};

Bytes encode(const std::optional<Mechanism>& mechanism) {
  return mechanism ? encode_mechanism(*mechanism) : Bytes();
}

Sha256Digest digest_of(const LedgerEntry& entry, ByteSpan before) {
  const Bytes mechanism = encode(entry.mechanism);
  ByteWriter out;
  out.raw(before);
  out.u64(static_cast<std::uint64_t>(entry.when_ms));
  out.raw(entry.task);
  out.u64(entry.round);
  out.u32(entry.attempt);
  out.u32(static_cast<std::uint32_t>(entry.what.size()));
  out.text(entry.what);
  out.u64(entry.bytes);
  out.u32(entry.cohort_min);
  out.raw(mechanism);
  return sha256(out.bytes());
}

Result<LedgerEntry> read_entry(const Statement& row) {
  LedgerEntry entry{.when_ms = row.integer(0),
                    .task = {},
                    .round = static_cast<std::uint64_t>(row.integer(2)),
                    .attempt = static_cast<std::uint32_t>(row.integer(3)),
                    .what = std::string(row.text(4)),
                    .bytes = static_cast<std::uint64_t>(row.integer(5)),
                    .cohort_min = static_cast<std::uint32_t>(row.integer(6)),
                    .mechanism = {}};
  const ByteSpan task = row.blob(1);
  if (task.size() != entry.task.size())
    return fail(ErrorCode::kCorrupt, "privacy ledger: a task id of ", task.size(), " bytes");
  std::copy(task.begin(), task.end(), entry.task.begin());
  if (const ByteSpan mechanism = row.blob(7); !mechanism.empty()) {
    INK_TRY(entry.mechanism, decode_mechanism(mechanism));
  }
  return entry;
}

// Entries in order, with the newest digest; every link is checked.
struct Chain {
  std::vector<LedgerEntry> entries;
  Sha256Digest newest{};
};

Result<Chain> read_chain(Database& database) {
  INK_TRY(Statement query,
          database.prepare("SELECT when_ms, task, round, attempt, what, bytes, cohort_min, "
                           "mechanism, digest FROM entries ORDER BY id"));
  Chain chain;
  for (;;) {
    INK_TRY(const bool more, query.step());
    if (!more) return chain;
    INK_TRY(LedgerEntry entry, read_entry(query));
    chain.newest = digest_of(entry, chain.newest);
    const ByteSpan stored = query.blob(8);
    if (!std::equal(stored.begin(), stored.end(), chain.newest.begin(), chain.newest.end())) {
      return fail(ErrorCode::kCorrupt, database.path().string(), ": entry ",
                  chain.entries.size() + 1, " was changed, or one before it was removed");
    }
    chain.entries.push_back(std::move(entry));
  }
}

}  // namespace

Result<Ledger> Ledger::open(const Path& path) {
  INK_TRY(Database database, Database::open(path));
  INK_CHECK_OK(database.migrate(kApplication, kSchema));
  INK_CHECK_OK(read_chain(database));
  return Ledger(std::move(database));
}

Result<void> Ledger::append(const LedgerEntry& entry) {
  if (entry.mechanism) INK_CHECK_OK(check_mechanism(*entry.mechanism));
  INK_TRY(Transaction transaction, Transaction::begin(database_));
  INK_TRY(const Chain chain, read_chain(database_));
  const bool known =
      std::any_of(chain.entries.begin(), chain.entries.end(), [&](const LedgerEntry& earlier) {
        return earlier.task == entry.task && earlier.round == entry.round &&
               earlier.attempt == entry.attempt;
      });
  if (known) return {};
  INK_TRY(Statement insert, database_.prepare("INSERT INTO entries (when_ms, task, round, attempt, "
                                              "what, bytes, cohort_min, noise, mechanism, digest) "
                                              "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  const Bytes mechanism = encode(entry.mechanism);
  const Sha256Digest digest = digest_of(entry, chain.newest);
  const std::string noise = describe(entry.mechanism);
  insert.bind_integer(1, entry.when_ms)
      .bind_blob(2, entry.task)
      .bind_integer(3, static_cast<std::int64_t>(entry.round))
      .bind_integer(4, entry.attempt)
      .bind_text(5, entry.what)
      .bind_integer(6, static_cast<std::int64_t>(entry.bytes))
      .bind_integer(7, entry.cohort_min)
      .bind_text(8, noise)
      .bind_blob(9, mechanism)
      .bind_blob(10, digest);
  INK_CHECK_OK(insert.run());
  return transaction.commit();
}

Result<std::vector<LedgerEntry>> Ledger::entries() {
  INK_TRY(Chain chain, read_chain(database_));
  return std::move(chain.entries);
}

Result<Ledger::TaskUses> Ledger::uses_of(const std::array<std::uint8_t, 16>& task) {
  INK_TRY(const Chain chain, read_chain(database_));
  TaskUses uses;
  for (const LedgerEntry& entry : chain.entries) {
    if (entry.task != task) continue;
    if (entry.mechanism) {
      INK_CHECK_OK(uses.accountant.add({.mechanism = *entry.mechanism}));
    } else {
      uses.has_unprotected = true;
    }
  }
  return uses;
}

std::string describe(const std::optional<Mechanism>& mechanism) {
  struct Words {
    std::string operator()(const Gaussian& m) const {
      return concat("gaussian, noise multiplier ", m.noise_multiplier, ", sampling ", m.sampling);
    }
    std::string operator()(const DistributedDiscreteGaussian& m) const {
      return concat("distributed discrete gaussian, sigma ", m.sigma, " of at least ", m.clients,
                    " devices, L2 norm ", m.l2, ", sampling ", m.sampling);
    }
    std::string operator()(const Skellam& m) const {
      return concat("skellam, variance ", m.variance, ", L2 norm ", m.l2, ", sampling ",
                    m.sampling);
    }
    std::string operator()(const Tree& m) const {
      return concat("tree, noise multiplier ", m.noise_multiplier, " over ", m.steps, " steps");
    }
  };
  return mechanism ? std::visit(Words(), *mechanism) : "none";
}

}  // namespace inkling::privacy
