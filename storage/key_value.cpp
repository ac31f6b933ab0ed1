#include "storage/key_value.h"

#include <array>
#include <bit>

#include "runtime/base/sha256.h"

namespace inkling {

namespace {

constexpr std::uint32_t kApplication = 0x494e4b32;  // "INK2"
constexpr std::array<std::string_view, 1> kSchema = {
    "CREATE TABLE pair(name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL,"
    " checksum BLOB NOT NULL);"};

// SHA-256 over the name, its length and the value: a value under another name is damage too.
Sha256Digest checksum(std::string_view name, ByteSpan value) {
  ByteWriter length;
  length.u64(name.size());
  return Sha256().update(length.bytes()).update(as_bytes(name)).update(value).finish();
}

Result<void> check_name(std::string_view name) {
  if (!name.empty() && name.size() <= kKeyBytesMax && name.find('\0') == name.npos) return {};
  return fail(ErrorCode::kInvalidArgument, "key-value store: a name of ", name.size(),
              " bytes, expected 1 to ", kKeyBytesMax, " without NUL");
}

}  // namespace

Result<KeyValue> KeyValue::open(const Path& path) {
  INK_TRY(Database database, Database::open(path, {.survives_power_loss = true}));
  INK_CHECK_OK(database.migrate(kApplication, kSchema));
  return KeyValue(std::move(database));
}

Result<void> KeyValue::write(std::string_view verb, std::string_view name, ByteSpan value) {
  INK_CHECK_OK(check_name(name));
  if (value.size() > kValueBytesMax) {
    return fail(ErrorCode::kResourceLimit, "key-value store: ", name, ": ", value.size(),
                " bytes, limit ", kValueBytesMax);
  }
  INK_TRY(Statement statement, database_.prepare(concat(verb, " INTO pair VALUES(?,?,?)")));
  statement.bind_text(1, name).bind_blob(2, value).bind_blob(3, checksum(name, value));
  return statement.run();
}

Result<void> KeyValue::remove(std::string_view name) {
  INK_CHECK_OK(check_name(name));
  INK_TRY(Statement statement, database_.prepare("DELETE FROM pair WHERE name = ?"));
  return statement.bind_text(1, name).run();
}

Result<void> KeyValue::apply(std::span<const Change> changes) {
  INK_TRY(Transaction transaction, Transaction::begin(database_));
  for (const Change& change : changes) {
    INK_CHECK_OK(change.value ? write("REPLACE", change.name, *change.value) : remove(change.name));
  }
  INK_CHECK_OK(transaction.commit());
  return database_.scrub();
}

Result<void> KeyValue::supersede(std::string_view name, ByteSpan value) {
  return write("REPLACE", name, value);
}

Result<void> KeyValue::insert(std::string_view name, ByteSpan value) {
  return write("INSERT", name, value);
}

Result<Bytes> KeyValue::get(std::string_view name) {
  INK_CHECK_OK(check_name(name));
  INK_TRY(Statement statement,
          database_.prepare("SELECT value, checksum FROM pair WHERE name = ?"));
  statement.bind_text(1, name);
  INK_TRY(const bool found, statement.step());
  if (!found) return fail(ErrorCode::kNotFound, database_.path().string(), ": no value ", name);
  const ByteSpan value = statement.blob(0);
  if (as_text(checksum(name, value)) != as_text(statement.blob(1)))
    return fail(ErrorCode::kCorrupt, database_.path().string(), ": value ", name, " is damaged");
  return Bytes(value.begin(), value.end());
}

Result<Bytes> KeyValue::take(std::string_view name) {
  INK_TRY(Transaction transaction, Transaction::begin(database_));
  INK_TRY(Bytes value, get(name));
  INK_CHECK_OK(remove(name));
  INK_CHECK_OK(transaction.commit());
  // The value is already consumed: a reader that delays the overwriting must not lose it here.
  const auto scrubbed = database_.scrub();
  if (!scrubbed && scrubbed.error().code != ErrorCode::kFailedPrecondition)
    return tl::unexpected<Error>(scrubbed.error());
  return value;
}

Result<std::vector<std::string>> KeyValue::names(std::string_view prefix) {
  INK_TRY(Statement statement, database_.prepare("SELECT name FROM pair ORDER BY name"));
  std::vector<std::string> names;
  while (true) {
    INK_TRY(const bool row, statement.step());
    if (!row) return names;
    const std::string_view name = statement.text(0);
    if (name.starts_with(prefix)) names.emplace_back(name);
  }
}

Result<void> KeyValue::erase_all() {
  INK_CHECK_OK(database_.run("DELETE FROM pair"));
  return database_.scrub();
}

}  // namespace inkling
