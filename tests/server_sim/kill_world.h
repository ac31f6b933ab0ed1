#pragma once
// A federated task of real processes that are killed: a server and its devices, each in a process
// of its own with its SQLite files, and a parent that carries their messages and starts again
// whoever was killed.
//
// One process, once, gets SIGKILL in place of its k-th write to a database: at whatever moment disk
// and memory can differ. The parent keeps what both sides said in all their lives.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "federated/task.h"
#include "server-sim/coordinator/coordinator.h"

namespace inkling {

// Where the one kill happens. Life 1 of the victim is the one that is killed.
struct KillPoint {
  int victim = -1;          // kServer, or the index of a device
  std::uint64_t write = 0;  // counted from 1; 0: never
  bool tears = false;       // the write is done by half before the process ends
  static constexpr int kServer = -1;
};

// What the parent and all children see.
struct SharedState;

class KillWorld {
 public:
  struct Spec {
    std::size_t devices = 4;
    secagg::Mode mode = secagg::Mode::kSemiHonest;
    // Its masked update stays on the wire until others have been asked to unmask, and arrives then.
    std::optional<std::size_t> late = {};
  };

  KillWorld(const Path& folder, const Spec& spec, const KillPoint& kill);
  KillWorld(const KillWorld&) = delete;
  KillWorld& operator=(const KillWorld&) = delete;
  ~KillWorld();

  // Until every device has ended. False: it never does.
  bool run();

  // Of the victim's first life.
  std::uint64_t writes() const;
  int kills() const { return kills_; }
  // Lines on whatever no process may do: it answered a second time with other bytes, failed by
  // itself, or gave both kinds of shares of one client.
  const std::vector<std::string>& sins() const { return sins_; }

  // After run(), from the files.
  std::vector<RoundReport> reports() const;
  // What the devices kept of what they masked, added up in the ring.
  std::vector<std::uint64_t> plain_sum(const secagg::Attempt& attempt,
                                       const std::set<std::size_t>& devices) const;
  std::size_t ledger_entries(std::size_t device) const;

 private:
  struct Child {
    pid_t pid = 0;
    int socket = -1;
    bool is_running() const { return pid > 0; }
  };
  struct Device {
    Child child;
    Bytes request;  // that waits for an answer
    bool over = false;
  };

  void start_server();
  void start_device(std::size_t index);
  void hear(std::size_t index);   // the next thing the device says, or its end
  bool serve(std::size_t index);  // one request; false: nothing is due yet
  std::optional<Bytes> ask_server(ByteSpan request);
  void reap(Child& child, const std::string& who);
  [[noreturn]] void live_as_server(int socket);
  [[noreturn]] void live_as_device(std::size_t index, int socket);
  void note(const std::string& who, ByteSpan message);

  Path folder_;
  Spec spec_;
  KillPoint kill_;
  SharedState* shared_;
  Child server_;
  std::vector<Device> devices_;
  bool unmasking_ = false;  // somebody has been asked
  int kills_ = 0;
  std::map<std::string, Bytes> said_;  // by who, attempt and message type
  std::map<std::pair<std::string, std::uint32_t>, std::set<int>> kinds_;  // by context and owner
  std::vector<std::string> sins_;
};

}  // namespace inkling
