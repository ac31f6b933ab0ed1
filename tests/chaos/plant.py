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
