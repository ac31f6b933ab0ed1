#include "tests/server_sim/kill_world.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>

#include "federated/participant.h"
#include "federated/secagg/envelope.h"
#include "runtime/model.h"
#include "tests/server_sim/task_world.h"

namespace inkling {

struct SharedState {
  std::atomic<std::int64_t> now_ms;
  std::atomic<std::uint64_t> writes;  // of the victim's first life
};

namespace {

constexpr std::int64_t kStart = 1'700'000'000'000;
constexpr std::int64_t kPhaseMs = 60'000;
constexpr std::size_t kParameters = 5;
constexpr std::size_t kMessageBytesMax = 64 << 10;

// ---- Dying at a write. SQLite calls the system through a table that programs may change.

using PWrite = ssize_t (*)(int, const void*, std::size_t, off_t);
using Write = ssize_t (*)(int, const void*, std::size_t);
using Truncate = int (*)(int, off_t);
struct Doom {
  SharedState* shared;
  std::uint64_t at;
  bool tears;
  PWrite pwrite;
  Write write;
  Truncate truncate;
};
constinit Doom doom{};

bool is_the_end() { return ++doom.shared->writes == doom.at; }

ssize_t counted_pwrite(int file, const void* bytes, std::size_t size, off_t offset) {
  if (is_the_end()) {
    if (doom.tears) (void)doom.pwrite(file, bytes, size / 2, offset);
    ::kill(::getpid(), SIGKILL);
  }
  return doom.pwrite(file, bytes, size, offset);
}

ssize_t counted_write(int file, const void* bytes, std::size_t size) {
  if (is_the_end()) {
    if (doom.tears) (void)doom.write(file, bytes, size / 2);
    ::kill(::getpid(), SIGKILL);
  }
  return doom.write(file, bytes, size);
}

int counted_truncate(int file, off_t size) {
  if (is_the_end()) ::kill(::getpid(), SIGKILL);
  return doom.truncate(file, size);
}

void count_writes(SharedState& shared, const KillPoint& kill) {
  sqlite3_initialize();
  sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  const auto replace = [&](const char* name, auto function, auto& old) {
    old = reinterpret_cast<std::decay_t<decltype(old)>>(vfs->xGetSystemCall(vfs, name));
    if (old != nullptr)
      vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(function));
  };
  doom = {.shared = &shared,
          .at = kill.write,
          .tears = kill.tears,
          .pwrite = {},
          .write = {},
          .truncate = {}};
  PWrite wide = nullptr;
  replace("ftruncate", &counted_truncate, doom.truncate);
  replace("pwrite", &counted_pwrite, doom.pwrite);
  replace("pwrite64", &counted_pwrite, wide);  // SQLite was built for one of the three
  replace("write", &counted_write, doom.write);
  if (wide != nullptr) doom.pwrite = wide;
}

// ---- Talking.

// False: the other end is gone.
bool put(int socket, ByteSpan message) {
  return ::send(socket, message.data(), message.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(message.size());
}

std::optional<Bytes> take(int socket) {
  Bytes message(kMessageBytesMax);
  const ssize_t size = ::recv(socket, message.data(), message.size(), 0);
  if (size <= 0) return std::nullopt;
  message.resize(static_cast<std::size_t>(size));
  return message;
}

constexpr std::uint8_t kFine = 255;  // in place of an error code

template <typename T>
Bytes encode_answer(const Result<T>& result) {
  ByteWriter out;
  if (!result) {
    out.u8(static_cast<std::uint8_t>(result.error().code));
    out.text(result.error().message);
    return out.take();
  }
  out.u8(kFine);
  if constexpr (!std::is_void_v<T>) out.raw(*result);
  return out.take();
}

Result<Bytes> decode_answer(ByteSpan answer) {
  ByteReader in(answer);
  const std::uint8_t code = in.u8();
  const ByteSpan rest = in.raw(in.remaining());
  if (code == kFine) return Bytes(rest.begin(), rest.end());
  return fail(static_cast<ErrorCode>(code), as_text(rest));
}

// What a device asks its parent, and the parent the server: who, what, in which attempt, when.
enum class Ask : std::uint8_t { kJoin, kPoll, kMessage, kTick, kEnded, kBroken };

struct Question {
  Ask what = Ask::kTick;
  secagg::ClientId client{};
  secagg::Attempt attempt = {};
  std::int64_t now_ms = 0;
  Bytes body = {};
};

Bytes encode_question(const Question& question) {
  ByteWriter out;
  out.u8(static_cast<std::uint8_t>(question.what));
  out.raw(question.client);
  out.u64(question.attempt.round);
  out.u32(question.attempt.attempt);
  out.u64(static_cast<std::uint64_t>(question.now_ms));
  out.raw(question.body);
  return out.take();
}

Question decode_question(ByteSpan bytes) {
  ByteReader in(bytes);
  Question question{.what = static_cast<Ask>(in.u8())};
  const ByteSpan id = in.raw(question.client.size());
  std::copy(id.begin(), id.end(), question.client.begin());
  question.attempt.round = in.u64();
  question.attempt.attempt = in.u32();
  question.now_ms = static_cast<std::int64_t>(in.u64());
  const ByteSpan body = in.raw(in.remaining());
  question.body.assign(body.begin(), body.end());
  return question;
}

// ---- A device's side.

class SharedClock final : public Clock {
 public:
  explicit SharedClock(const SharedState& shared) : shared_(shared) {}
  std::int64_t unix_ms() const override { return shared_.now_ms; }
  std::int64_t steady_ms() const override { return shared_.now_ms; }

 private:
  const SharedState& shared_;
};

class ParentTransport final : public Transport {
 public:
  ParentTransport(const secagg::ClientId& id, int socket, const SharedState& shared)
      : id_(id), socket_(socket), shared_(shared) {}
  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t) override {
    Question question{.what = Ask::kJoin, .client = id_, .now_ms = shared_.now_ms};
    question.body.assign(body.begin(), body.end());
    if (!path.ends_with("/join")) {
      question.what = path.ends_with("/poll") ? Ask::kPoll : Ask::kMessage;
      const std::string rest(path.substr(path.find("/rounds/") + 8));
      question.attempt = {std::stoull(rest),
                          static_cast<std::uint32_t>(std::stoul(rest.substr(rest.find('.') + 1)))};
    }
    if (!put(socket_, encode_question(question))) ::_exit(0);  // nobody is there any more
    const auto answer = take(socket_);
    if (!answer) ::_exit(0);
    return decode_answer(*answer);
  }

 private:
  secagg::ClientId id_;
  int socket_;
  const SharedState& shared_;
};

std::vector<float> delta_of(std::size_t device) {
  std::vector<float> delta(kParameters);
  Rng rng(11, "delta", device);
  for (float& d : delta) d = static_cast<float>(2 * rng.uniform() - 1);
  return delta;
}

Bytes model_of_five_parameters() {
  Model model;
  model.graph.output(
      "x",
      model.graph.variable("x", Tensor::from<float>(Shape({5}), {1.0f, -1.0f, 0.5f, 2.0f, 3.0f})));
  return encode_model(model).value();
}

std::string device_name(std::size_t index) { return concat("device", index, ".sqlite"); }
std::string ledger_name(std::size_t index) { return concat("ledger", index, ".sqlite"); }

}  // namespace

KillWorld::KillWorld(const Path& folder, const Spec& spec, const KillPoint& kill)
    : folder_(folder), spec_(spec), kill_(kill), devices_(spec.devices) {
  std::filesystem::create_directories(folder_);
  void* const memory = ::mmap(nullptr, sizeof(SharedState), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  INK_INVARIANT(memory != MAP_FAILED);
  shared_ = new (memory) SharedState{.now_ms = kStart, .writes = 0};
}

KillWorld::~KillWorld() {
  for (Device& device : devices_) {
    if (device.child.is_running()) reap(device.child, "a device at the end");
  }
  if (server_.is_running()) reap(server_, "the server at the end");
  ::munmap(shared_, sizeof *shared_);
}

std::uint64_t KillWorld::writes() const { return shared_->writes; }

void KillWorld::start_server() {
  int ends[2];
  INK_INVARIANT(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  const pid_t pid = ::fork();
  INK_INVARIANT(pid >= 0);
  if (pid == 0) {
    ::close(ends[0]);
    for (const Device& device : devices_) {
      if (device.child.is_running()) ::close(device.child.socket);
    }
    live_as_server(ends[1]);
  }
  ::close(ends[1]);
  server_ = {.pid = pid, .socket = ends[0]};
}

void KillWorld::live_as_server(int socket) {
  if (kill_.victim == KillPoint::kServer && kills_ == 0) count_writes(*shared_, kill_);
  const auto n = static_cast<std::uint32_t>(spec_.devices);
  CoordinatorSpec spec;
  spec.task = {4, 2};
  spec.plan = {.kind = "known_delta", .local_steps = 3, .rate = 0.5};
  spec.config.n_min = n - 1;
  spec.config.n_max = n;
  spec.config.delta_ppm = secagg::kPpm / n + 1;
  spec.config.mode = spec_.mode;
  spec.config.scale = 1 << 16;
  spec.config.clip_l2 = 16;
  spec.config.phase_ms.fill(kPhaseMs);
  secagg::SystemEntropy entropy;
  auto coordinator = Coordinator::open(
      spec, make_identity(task_authority(), secagg::Role::kServer, {0, 255}),
      task_authority().public_key(), folder_ / "server", model_of_five_parameters(), entropy);
  if (!coordinator) {
    (void)std::fprintf(stderr, "server: %s\n", coordinator.error().message.c_str());
    ::_exit(1);
  }
  while (const auto bytes = take(socket)) {
    const Question question = decode_question(*bytes);
    Bytes answer;
    switch (question.what) {
      case Ask::kJoin:
        answer = encode_answer(coordinator->join(question.client, question.body, question.now_ms));
        break;
      case Ask::kPoll:
        answer = encode_answer(
            coordinator->poll(question.client, question.attempt, question.body.at(0)));
        break;
      case Ask::kMessage:
        answer = encode_answer(coordinator->receive(question.client, question.attempt,
                                                    question.body, question.now_ms));
        break;
      default:
        answer = encode_answer(coordinator->tick(question.now_ms));
    }
    if (!put(socket, answer)) break;
  }
  ::_exit(0);  // as it stands: closing the files properly is not what a crash does
}

void KillWorld::start_device(std::size_t index) {
  int ends[2];
  INK_INVARIANT(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  const pid_t pid = ::fork();
  INK_INVARIANT(pid >= 0);
  if (pid == 0) {
    ::close(ends[0]);
    for (const Device& other : devices_) {
      if (other.child.is_running()) ::close(other.child.socket);
    }
    if (server_.is_running()) ::close(server_.socket);
    live_as_device(index, ends[1]);
  }
  ::close(ends[1]);
  devices_[index].child = {.pid = pid, .socket = ends[0]};
}

void KillWorld::live_as_device(std::size_t index, int socket) {
  if (kill_.victim == static_cast<int>(index) && kills_ == 0) count_writes(*shared_, kill_);
  const auto id = device_id(index);
  const secagg::Identity identity = make_identity(task_authority(), secagg::Role::kClient, id);
  const SharedClock clock(*shared_);
  secagg::SystemEntropy entropy;
  SameEntropy rounding(index);
  ParentTransport transport(id, socket, *shared_);
  const auto live = [&]() -> Result<federated::Participation> {
    INK_TRY(KeyValue state, KeyValue::open(folder_ / device_name(index)));
    INK_TRY(privacy::Ledger ledger, privacy::Ledger::open(folder_ / ledger_name(index)));
    federated::Participant participant({.authority = task_authority().public_key(),
                                        .policy = {},
                                        .ledger = &ledger,
                                        .patience_ms = 100 * kPhaseMs,
                                        .rounding = &rounding,
                                        .keeps_input = true},
                                       identity, transport, state, entropy, clock);
    return participant.take_part([&](const auto&, const auto&) -> Result<federated::LocalUpdate> {
      return federated::LocalUpdate{.delta = delta_of(index)};
    });
  };
  const auto played = live();
  Question last{.what = played ? Ask::kEnded : Ask::kBroken, .client = id};
  if (!played) {
    const ByteSpan text = as_bytes(played.error().message);
    last.body.assign(text.begin(), text.end());
  } else {
    last.body = {static_cast<std::uint8_t>(played->seat),
                 static_cast<std::uint8_t>(played->result.code)};
  }
  (void)put(socket, encode_question(last));
  ::_exit(0);
}

// Ends the process if it has not ended, and says how.
void KillWorld::reap(Child& child, const std::string& who) {
  ::close(child.socket);  // whoever waits for us ends now
  int status = 0;
  INK_INVARIANT(::waitpid(child.pid, &status, 0) == child.pid);
  child = {};
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    ++kills_;
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    sins_.push_back(concat(who, " ended with status ", status));
  }
}

// Nothing: the server was killed, and is started anew.
std::optional<Bytes> KillWorld::ask_server(ByteSpan request) {
  if (!server_.is_running()) start_server();
  if (put(server_.socket, request)) {
    if (auto answer = take(server_.socket)) return answer;
  }
  reap(server_, "the server");
  return std::nullopt;
}

void KillWorld::hear(std::size_t index) {
  Device& device = devices_[index];
  const auto said = take(device.child.socket);
  device.request.clear();
  if (!said) {
    reap(device.child, concat("device ", index));
    return;  // started again at its next turn
  }
  const Question question = decode_question(*said);
  if (question.what == Ask::kEnded || question.what == Ask::kBroken) {
    device.over = question.what == Ask::kBroken || question.body.at(0) != 0;  // 0: waits for a seat
    if (question.what == Ask::kBroken)
      sins_.push_back(concat("device ", index, ": ", as_text(question.body)));
    reap(device.child, concat("device ", index));
    return;
  }
  if (question.what == Ask::kMessage) note(concat("device ", index), question.body);
  device.request = *said;
}

bool KillWorld::serve(std::size_t index) {
  Device& device = devices_[index];
  const Question question = decode_question(device.request);
  const bool is_masked =
      question.what == Ask::kMessage &&
      secagg::open_envelope(question.body).value().type == secagg::MessageType::kMasked;
  if (is_masked && spec_.late == index && !unmasking_) return false;
  const auto raw = ask_server(device.request);
  if (!raw) return true;  // the device's call fails, and it calls again
  const auto answer = decode_answer(*raw);
  if (question.what == Ask::kPoll && answer) {
    if (answer->empty()) return false;
    note(concat("server to ", index), *answer);
    const secagg::MessageType type = secagg::open_envelope(*answer).value().type;
    unmasking_ |= type == secagg::MessageType::kSurvivors;
  }
  if (!answer && answer.error().code == ErrorCode::kIo)
    sins_.push_back(concat("server: ", answer.error().message));
  device.request.clear();
  if (put(device.child.socket, *raw)) hear(index);
  return true;
}

bool KillWorld::run() {
  constexpr int kPassesMax = 2000;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    bool all = true, moved = false;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      Device& device = devices_[i];
      if (device.over) continue;
      all = false;
      if (!device.child.is_running()) {
        start_device(i);
        hear(i);
      }
      if (device.child.is_running() && !device.request.empty()) moved |= serve(i);
    }
    if (all) {
      if (server_.is_running()) reap(server_, "the server");
      return true;
    }
    if (moved) continue;
    shared_->now_ms += 1000;
    (void)ask_server(encode_question({.what = Ask::kTick, .now_ms = shared_->now_ms}));
  }
  return false;
}

// Whoever says one thing of a round says it in the same bytes in every life.
void KillWorld::note(const std::string& who, ByteSpan message) {
  const secagg::Envelope envelope = secagg::open_envelope(message).value();
  const std::string key =
      concat(who, " ", to_hex(envelope.ctx), " ", secagg::message_type_name(envelope.type));
  const auto [found, is_new] = said_.emplace(key, Bytes(message.begin(), message.end()));
  if (!is_new && found->second != Bytes(message.begin(), message.end()))
    sins_.push_back(concat(key, ": other bytes than before"));
  if (envelope.type != secagg::MessageType::kUnmask) return;
  const secagg::Unmask unmask = secagg::decode_unmask(envelope.body).value();
  for (const secagg::ReleasedShare& share : unmask.shares) {
    std::set<int>& kinds = kinds_[{to_hex(envelope.ctx), share.owner}];
    kinds.insert(static_cast<int>(share.kind));
    if (kinds.size() > 1) sins_.push_back(concat("both kinds of shares of client ", share.owner));
  }
}

std::vector<RoundReport> KillWorld::reports() const {
  return RoundStore::open(folder_ / "server" / "rounds.sqlite").value().reports().value();
}

std::vector<std::uint64_t> KillWorld::plain_sum(const secagg::Attempt& attempt,
                                                const std::set<std::size_t>& devices) const {
  std::vector<std::uint64_t> sum(kParameters + 1);  // and the weight
  for (const std::size_t i : devices) {
    KeyValue state = KeyValue::open(folder_ / device_name(i)).value();
    const Bytes kept = state.get(federated::input_key(attempt)).value();
    ByteReader reader(kept);
    for (std::uint64_t& s : sum) s = (s + reader.u64()) & secagg::Config{}.ring_mask();
  }
  return sum;
}

std::size_t KillWorld::ledger_entries(std::size_t device) const {
  return privacy::Ledger::open(folder_ / ledger_name(device)).value().entries().value().size();
}

}  // namespace inkling
