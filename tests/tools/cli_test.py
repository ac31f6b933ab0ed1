"""The surface of the `inkling` command: help texts, streams and exit codes.

Usage: cli_test.py INKLING GOLDEN_FOLDER [unittest arguments]
After a change that is meant, write the help texts anew with INKLING_UPDATE_GOLDEN=1.
"""
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import unittest

INKLING, GOLDEN = "", pathlib.Path()


def run(*arguments):
    return subprocess.run([INKLING, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)


class Help(unittest.TestCase):
    def check(self, name, *arguments):
        result = run(*arguments, "--help")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        path = GOLDEN / f"help_{name}.txt"
        if os.environ.get("INKLING_UPDATE_GOLDEN"):
            path.write_text(result.stdout, encoding="utf-8")
        self.assertEqual(path.read_text(encoding="utf-8"), result.stdout)

    def test_inkling(self):
        self.check("inkling")

    def test_ca(self):
        self.check("ca", "ca")

    def test_ca_init(self):
        self.check("ca_init", "ca", "init")

    def test_version_names_the_release_and_the_commit(self):
        result = run("--version")
        self.assertEqual(0, result.returncode)
        self.assertRegex(result.stdout, r"^inkling \d+\.\d+\.\d+ \((?:[0-9a-f]{7,}|unknown)\)\n$")


class ExitCodes(unittest.TestCase):
    def check(self, code, *arguments):
        """Fails with this code, prints no data, and says why in one line."""
        result = run(*arguments)
        self.assertEqual(code, result.returncode, result.stderr)
        self.assertEqual("", result.stdout)
        self.assertRegex(result.stderr, re.compile(r"\Ainkling: [^\n]+\n\Z"))
        return result.stderr

    def test_usage_errors_are_2(self):
        for arguments in [(), ("nope",), ("ca",), ("ca", "init"), ("ca", "init", "--nope"),
                          ("ca", "init", "--dir", "x", "--days", "many"),
                          ("--log-level", "loud", "ca", "init", "--dir", "x")]:
            with self.subTest(arguments):
                self.check(2, *arguments)

    def test_values_out_of_range_are_2_and_name_the_range(self):
        with tempfile.TemporaryDirectory() as folder:
            said = self.check(2, "ca", "init", "--dir", folder, "--days", "0")
            self.assertIn("expected 1 to 3650", said)
            self.assertEqual([], os.listdir(folder))

    def test_a_folder_that_cannot_be_made_is_4(self):
        with tempfile.NamedTemporaryFile() as file:
            self.check(4, "ca", "init", "--dir", file.name + "/below")

    def test_full_standard_output_is_4(self):
        with tempfile.TemporaryDirectory() as folder, open("/dev/full", "w") as full:
            result = subprocess.run([INKLING, "ca", "init", "--dir", folder], stdout=full,
                                    stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(4, result.returncode, result.stderr)


class Privacy(unittest.TestCase):
    def test_epsilon_and_noise_undo_each_other(self):
        spent = json.loads(run("privacy", "epsilon", "--noise-multiplier", "1", "--sampling", "0.01",
                               "--rounds", "1000", "--delta", "1e-5", "--json").stdout)
        self.assertAlmostEqual(1.8282436, spent["epsilon_pld"], places=5)
        self.assertAlmostEqual(2.10137, spent["epsilon_rdp"], places=4)
        noise = json.loads(run("privacy", "noise", "--epsilon", str(spent["epsilon"]), "--sampling",
                               "0.01", "--rounds", "1000", "--delta", "1e-5", "--json").stdout)
        self.assertAlmostEqual(1, noise["noise_multiplier"], places=4)

    def test_a_device_from_which_nothing_left_has_no_ledger(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run("privacy", "show", "--device", folder)
            self.assertEqual(4, result.returncode)
            self.assertIn("nothing has left this device", result.stderr)


class Bench(unittest.TestCase):
    def test_secagg_plays_a_round_whose_sum_is_exact(self):
        for options in ([], ["--complete"], ["--mode", "3"], ["--suite", "3"]):
            with self.subTest(options):
                result = run("bench", "secagg", "--clients", "40", "--dim", "1000", "--bits", "24",
                             "--drop", "3", "--json", *options)
                self.assertEqual((0, ""), (result.returncode, result.stderr))
                figures = json.loads(result.stdout)
                self.assertTrue(figures["sum_exact"])
                self.assertEqual(3, figures["dropped"])
                for name in ("client_share_ms", "client_mask_ms", "keystream_bound_ms",
                             "server_collect_ms_per_client", "server_unmask_s", "upload_bytes",
                             "degree", "threshold"):
                    self.assertGreater(figures[name], 0, name)


class CaInit(unittest.TestCase):
    def test_lists_private_files_and_never_overwrites_unasked(self):
        with tempfile.TemporaryDirectory() as folder:
            first = run("ca", "init", "--dir", folder, "--host", "example.org")
            self.assertEqual((0, ""), (first.returncode, first.stderr))
            files = first.stdout.splitlines()
            self.assertEqual(sorted(os.listdir(folder)),
                             sorted(os.path.basename(file) for file in files))
            for file in files:
                self.assertEqual(0o600, stat.S_IMODE(os.stat(file).st_mode), file)
            before = pathlib.Path(folder, "server.key").read_bytes()
            again = run("ca", "init", "--dir", folder)
            self.assertEqual(1, again.returncode)
            self.assertIn("--force", again.stderr)
            self.assertEqual(before, pathlib.Path(folder, "server.key").read_bytes())
            self.assertEqual(0, run("ca", "init", "--dir", folder, "--force").returncode)
            self.assertNotEqual(before, pathlib.Path(folder, "server.key").read_bytes())

    def test_openssl_accepts_the_chain_for_the_named_host_only(self):
        with tempfile.TemporaryDirectory() as folder:
            run("ca", "init", "--dir", folder, "--host", "example.org")
            for host, accepted in (("example.org", True), ("localhost", False)):
                verify = subprocess.run(
                    ["openssl", "verify", "-x509_strict", "-purpose", "sslserver",
                     "-verify_hostname", host, "-CAfile", f"{folder}/tls-ca.pem",
                     f"{folder}/server.pem"], capture_output=True, text=True, check=False)
                self.assertEqual(accepted, verify.returncode == 0, verify.stderr)


if __name__ == "__main__":
    INKLING, GOLDEN = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))
    unittest.main()
