"""A server that is killed in the middle of a round goes on with it when it is started again.

Usage: restart_test.py INKLING MAKE_DEVICES [unittest arguments]
"""
import json
import signal
import struct
import sys
import tempfile
import unittest

import deployment

INKLING, MAKE_DEVICES = "", ""
COHORT = 16
RING_MASK = 2**32 - 1

# Killed in each phase: one device stands still once it has sent the message named here, so that the
# server waits with every message before and every other device's next one in its journal.
KILL_POINTS = [("advertise", COHORT + COHORT - 1), ("shares", 2 * COHORT + COHORT - 1),
               ("masked", 3 * COHORT + COHORT - 1)]
SERVER = {"rounds": len(KILL_POINTS), "cohort": COHORT, "cohort_min": 12, "drop": 0.2,
          "phase_s": 60, "masking_s": 60, "ring_bits": 32, "clip": 4}


class Restart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.d = deployment.Deployment(INKLING, MAKE_DEVICES, folder.name, COHORT)
        self.addCleanup(self.d.close)

    def plain_sum(self, round_number, attempt):
        """Of what the devices say they masked."""
        total = None
        for device in self.d.devices:
            [(value,)] = self.d.query(
                f"SELECT value FROM pair WHERE name = 'input/{round_number}.{attempt}'",
                device / "federated.sqlite")
            values = struct.unpack(f"<{len(value) // 8}Q", value)
            total = [(a + b) & RING_MASK for a, b in zip(total or [0] * len(values), values)]
        return total

    def test_every_round_of_a_server_that_is_killed_in_it_has_the_exact_sum(self):
        server, port = self.d.start_server(**SERVER)
        for number, (message, journalled) in enumerate(KILL_POINTS, start=1):
            with self.subTest(killed_after=message):
                server = self.play(server, port, number, message, journalled)
        self.assertEqual([(number, 1, 0, COHORT) for number in range(1, len(KILL_POINTS) + 1)],
                         self.d.query("SELECT round, attempt, code, survivors FROM reports "
                                      "ORDER BY round, attempt"))
        server.terminate()
        self.assertEqual(-signal.SIGTERM, server.wait(deployment.PATIENCE_S))

    def play(self, server, port, number, message, journalled):
        joins = []
        for index in range(COHORT):
            arguments = self.d.join_arguments(index, port=port, cohort_min=12, tries=30)
            if index == 0:
                arguments += ["--pause-after", message]
            joins.append(self.d.start(f"join{index}.{number}", arguments + ["--keep-input"]))
        deployment.wait_for(f"{journalled} journalled messages",
                            lambda: self.d.journal_length() == journalled
                            and deployment.is_stopped(joins[0]))
        server.kill()
        server.wait()
        self.assertEqual(journalled, self.d.journal_length())
        server, again = self.d.start_server(port, **SERVER)
        self.assertEqual(port, again)
        joins[0].send_signal(signal.SIGCONT)
        for index, join in enumerate(joins):
            self.assertEqual(0, join.wait(deployment.PATIENCE_S),
                             self.d.read(f"join{index}.{number}.err"))
            report = json.loads(self.d.read(f"join{index}.{number}.out"))
            self.assertEqual((number, 1, True, COHORT),
                             (report["round"], report["attempt"], report["accepted"],
                              report["survivors"]))
        [(stored,)] = self.d.query(f"SELECT sum FROM reports WHERE round = {number}")
        self.assertEqual(self.plain_sum(number, 1),
                         list(struct.unpack(f"<{len(stored) // 8}Q", stored)))
        return server


if __name__ == "__main__":
    INKLING, MAKE_DEVICES = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
