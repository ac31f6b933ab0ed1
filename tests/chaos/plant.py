"""Writes copies of sources with one planted fault, for the test that the chaos test finds it.

Usage: plant.py SOURCE_ROOT OUT_DIR FAULT
A fault is a few replacements in the sources that the library is built from. Each must occur exactly
once, so that a fault which no longer applies fails the build instead of testing nothing.
"""
import pathlib
import sys

FAULTS = {
    # The coordinator acknowledges what its journal does not hold.
    "no_journal": [("server-sim/coordinator/coordinator.cpp", "  return store.append(record);", "  return {};")],
    # A device sends a message without having written down that, and with which keys.
    "no_write_ahead": [("federated/participant.cpp", "  INK_CHECK_OK(state_.supersede(kRecordKey, sealed));",
                        "  if (sealed.empty()) return {};")],
    # What a deadline closes is not written down: restarted, the server is in the phase before.
    "forgotten_close": [
        ("server-sim/coordinator/coordinator.cpp",
         "  return s.write_down(s.is_enough(now_ms) ? s.open->close_phase(now_ms) : s.open->tick(now_ms));",
         "  const Bytes forgotten = s.is_enough(now_ms) ? s.open->close_phase(now_ms) : s.open->tick(now_ms);\n"
         "  return s.write_down(s.open->phase() < secagg::ServerPhase::kDone ? Bytes() : forgotten);")],
    # A round is closed in several transactions.
    "torn_finish": [
        ("server-sim/coordinator/round_store.cpp",
         "  INK_TRY(Transaction transaction, Transaction::begin(database_));\n", ""),
        ("server-sim/coordinator/round_store.cpp", "  return transaction.commit();", "  return {};")],
    # The sum is off by the smallest step in one coordinate, where the count does not tell.
    "off_by_one": [("server-sim/secagg/secagg_server_phases.cpp", "  outcome_.sum.pop_back();",
                    "  outcome_.sum.pop_back();\n  ++outcome_.sum.front();")],
    # A device releases both shares of a client that was lost.
    "double_unmask": [
        ("federated/secagg/client_rounds.cpp",
         "    std::copy(share.begin(), share.end(), released.share.begin());\n",
         "    std::copy(share.begin(), share.end(), released.share.begin());\n"
         "    if (kind == ShareKind::kSelfMask) continue;\n"
         "    const auto second = share_of_kind(held.pair, ShareKind::kSelfMask);\n"
         "    ReleasedShare& both = message.shares.emplace_back();\n"
         "    both.owner = held.owner;\n"
         "    both.kind = ShareKind::kSelfMask;\n"
         "    std::copy(second.begin(), second.end(), both.share.begin());\n")],
    # The server tells each device that another one was lost: each device releases one kind of share,
    # all of them together both kinds.
    "two_survivor_sets": [
        ("server-sim/secagg/secagg_server.cpp",
         "    case ServerPhase::kUnmasking:\n      return only_if(asked_",
         "    case ServerPhase::kUnmasking:\n"
         "      if (setup_.config.mode != Mode::kStrict && asked_.contains(*index)) {\n"
         "        ClientSet others = survivors_;\n"
         "        others.erase(*index == 0 ? 1 : 0);\n"
         "        return seal(MessageType::kSurvivors, encode_survivors({.survivors = others.bytes()}));\n"
         "      }\n"
         "      return only_if(asked_")],
}


def main():
    root, out, fault = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    out.mkdir(parents=True, exist_ok=True)
    texts = {}
    for name, old, new in FAULTS[fault]:
        text = texts.get(name) or (root / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            print(f"{name}: {text.count(old)} times, expected once:\n{old}")
            return 1
        texts[name] = text.replace(old, new)
    for name, text in texts.items():
        (out / pathlib.Path(name).name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
