"""Evaluations, rounds of groups, and devices with TLS certificates, by real processes.

Usage: task_kinds_test.py INKLING MAKE_DEVICES [unittest arguments]
"""
import json
import struct
import sys
import tempfile
import unittest

import deployment

INKLING, MAKE_DEVICES = "", ""
DEVICES = 8
SERVER = {"rounds": 1, "cohort": 4, "cohort_min": 3, "drop": 0.25, "phase_s": 60, "masking_s": 60,
          "clip": 4}


class TaskKinds(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.d = deployment.Deployment(INKLING, MAKE_DEVICES, folder.name, DEVICES)
        self.addCleanup(self.d.close)

    def join(self, port, indices, **options):
        joins = {index: self.d.start(f"join{index}", self.d.join_arguments(
            index, port=port, cohort_min=3, tries=5, **options)) for index in indices}
        for index, join in joins.items():
            self.assertEqual(0, join.wait(deployment.PATIENCE_S), self.d.read(f"join{index}.err"))
            self.assertTrue(json.loads(self.d.read(f"join{index}.out"))["accepted"])

    def serve(self, *flags, **options):
        port_file = self.d.folder / "port"
        port_file.unlink(missing_ok=True)
        self.d.start("server", self.d.serve_arguments(port_file=port_file, **SERVER, **options)
                     + list(flags))
        return int(deployment.wait_for("the server's port", lambda: port_file.exists()
                                       and port_file.read_text(encoding="ascii")))

    def test_an_evaluation_gives_sums_and_no_model(self):
        self.join(self.serve("--evaluate"), range(4))
        [(sums, closes)] = self.d.query("SELECT metric_sums, closes_round FROM reports")
        nll, people = struct.unpack("<2d", sums)
        self.assertEqual(1, closes)
        self.assertAlmostEqual(4, people, places=3)
        self.assertTrue(0 < nll / people < 10, nll)
        self.assertEqual([(1,)], self.d.query("SELECT COUNT(*) FROM models"))

    def test_a_round_of_two_groups_makes_one_model(self):
        port = self.serve(groups=2, group_rule="median", prox=0.1)
        self.join(port, range(4))
        self.assertEqual([(1,)], self.d.query("SELECT COUNT(*) FROM models"))
        self.join(port, range(4, 8))
        self.assertEqual([(1, 1, 0, 0), (1, 2, 0, 1)], self.d.query(
            "SELECT round, attempt, code, closes_round FROM reports ORDER BY attempt"))
        self.assertEqual([(2,)], self.d.query("SELECT COUNT(*) FROM models"))
        self.assertEqual([(0,)], self.d.query("SELECT COUNT(*) FROM groups"))

    def test_devices_show_certificates_where_the_server_wants_them(self):
        port = self.serve(client_ca=self.d.keys / "tls-ca.pem")
        bare = self.d.start("bare", self.d.join_arguments(0, port=port, cohort_min=3, tries=1))
        self.assertEqual(5, bare.wait(deployment.PATIENCE_S), self.d.read("bare.err"))
        for index in range(4):
            self.d.command("ca", "issue", "--dir", self.d.keys, "--id",
                           self.d.device_id(index).hex(), "--out", self.d.folder / "unused",
                           "--tls", self.d.devices[index] / "tls")
        other = self.d.start("other", self.d.join_arguments(
            0, port=port, cohort_min=3, tries=1, tls_cert=self.d.devices[1] / "tls.pem",
            tls_key=self.d.devices[1] / "tls.key"))
        self.assertEqual(7, other.wait(deployment.PATIENCE_S), self.d.read("other.err"))
        joins = [self.d.start(f"join{index}", self.d.join_arguments(
            index, port=port, cohort_min=3, tries=5, tls_cert=self.d.devices[index] / "tls.pem",
            tls_key=self.d.devices[index] / "tls.key")) for index in range(4)]
        for index, join in enumerate(joins):
            self.assertEqual(0, join.wait(deployment.PATIENCE_S), self.d.read(f"join{index}.err"))


if __name__ == "__main__":
    INKLING, MAKE_DEVICES = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
