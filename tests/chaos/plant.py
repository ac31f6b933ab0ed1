"""Writes copies of sources with one planted fault, for the test that the chaos test finds it.

Usage: plant.py SOURCE_ROOT OUT_DIR FAULT
A fault is a few replacements in the sources that the library is built from. Each must occur exactly
once, so that a fault which no longer applies fails the build instead of testing nothing.
"""
import pathlib
import sys

SERVER = "server-sim/secagg/secagg_server"

FAULTS = {
    # The coordinator acknowledges what its journal does not hold.
    "no_journal": [("server-sim/coordinator/coordinator.cpp", "  return store.append(record);", "  return {};")],
    # A device sends a message without having written down that, and with which keys.
    "no_write_ahead": [("federated/participant.cpp", "  INK_CHECK_OK(state_.supersede(kRecordKey, sealed));",
                        "  if (sealed.empty()) return {};")],
    # The server takes in an update after it has asked for the shares, and asks again.
    "late_survivor": [
        (f"{SERVER}.cpp", "  if (phase_that_expects(envelope.type) != phase_) {",
         "  const bool late = envelope.type == MessageType::kMasked && phase_ == ServerPhase::kUnmasking;\n"
         "  if (phase_that_expects(envelope.type) != phase_ && !late) {"),
        (f"{SERVER}_phases.cpp", "  survivors_.insert(index);\n",
         "  survivors_.insert(index);\n"
         "  if (phase_ == ServerPhase::kUnmasking) {\n"
         "    asked_.insert(index);\n"
         "    survivors_message_ =\n"
         "        seal(MessageType::kSurvivors, encode_survivors({.survivors = survivors_.bytes()}));\n"
         "  }\n")],
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
