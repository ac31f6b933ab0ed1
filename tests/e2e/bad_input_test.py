"""Bad input ends in one clear line on stderr, nothing on stdout, and the exit code for its kind.

Usage: bad_input_test.py INKLING MAKE_DEVICES [unittest arguments]
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import deployment

INKLING, MAKE_DEVICES = "", ""
ONE_LINE = re.compile(r"\Ainkling: [^\n]+\n\Z")
CORRUPT, IO, NETWORK, PROTOCOL, VERIFICATION = 3, 4, 5, 6, 7


def flip_bit(data, position):
    changed = bytearray(data)
    changed[position] ^= 0x10
    return bytes(changed)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.d = deployment.Deployment(INKLING, MAKE_DEVICES, folder.name, 1)
        cls.addClassCleanup(cls.d.close)
        cls.folder = pathlib.Path(folder.name)
        cls.d.command("ca", "init", "--dir", cls.folder / "stranger", "--host", "127.0.0.1")
        _, cls.port = cls.d.start_server(cohort=4, cohort_min=2)

    def check(self, code, words, *arguments):
        result = subprocess.run([INKLING, "--log-level", "off", *map(str, arguments)], check=False,
                                capture_output=True, text=True, stdin=subprocess.DEVNULL,
                                timeout=deployment.PATIENCE_S)
        self.assertEqual(code, result.returncode, result.stderr)
        self.assertEqual("", result.stdout)
        self.assertRegex(result.stderr, ONE_LINE)
        for word in words:
            self.assertIn(word, result.stderr)

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    # One row a case: name, exit code, what the line must name, and what is wrong about the command.

    def join_cases(self):
        identity = (self.d.devices[0] / "identity").read_bytes()
        authority = (self.d.keys / "identity.pub").read_bytes()
        middle = len(identity) // 2
        return [
            ("TLS authority of someone else", NETWORK, ["certificate verif"],
             {"tls_ca": self.folder / "stranger" / "tls-ca.pem"}),
            ("TLS authority that is no certificate", CORRUPT, ["certificate"],
             {"tls_ca": self.file("no.pem", b"-----BEGIN NOTHING-----\n")}),
            ("TLS authority that is missing", IO, ["absent.pem"],
             {"tls_ca": self.folder / "absent.pem"}),
            ("host that the certificate does not name", NETWORK, ["localhost"],
             {"host": "localhost"}),
            ("identity authority of someone else", VERIFICATION, ["certificate"],
             {"authority": self.folder / "stranger" / "identity.pub"}),
            ("identity authority cut short", CORRUPT, ["cut.pub"],
             {"authority": self.file("cut.pub", authority[:40])}),
            ("identity with a flipped bit", CORRUPT, ["flipped.identity"],
             {"identity": self.file("flipped.identity", flip_bit(identity, middle))}),
            ("identity cut short", CORRUPT, ["cut.identity"],
             {"identity": self.file("cut.identity", identity[:-1])}),
            ("identity that is empty", CORRUPT, ["empty.identity"],
             {"identity": self.file("empty.identity", b"")}),
            ("identity that is missing", IO, ["absent.identity"],
             {"identity": self.folder / "absent.identity"}),
            ("cohort below the device's floor", PROTOCOL, ["floor 100"],
             {"cohort_min": 100}),
            ("server that has stopped", NETWORK, ["127.0.0.1"],
             {"port": deployment.free_port()}),
        ]

    def test_join(self):
        for number, (name, code, words, options) in enumerate(self.join_cases()):
            with self.subTest(name):
                # A device folder of its own: what one case leaves behind is not the next one's.
                device = self.folder / f"case{number}"
                device.mkdir()
                options = {"cohort_min": 2, "tries": 1, "device": device, "port": self.port} | options
                self.check(code, words, *self.d.join_arguments(0, **options))

    def serve_cases(self):
        model = self.d.model.read_bytes()
        key = (self.d.keys / "server.pem").read_bytes()
        return [
            ("model with a flipped bit", CORRUPT, ["digest"],
             {"model": self.file("flipped.ink", flip_bit(model, len(model) // 2))}),
            ("model cut short", CORRUPT, ["model"],
             {"model": self.file("cut.ink", model[:-1])}),
            ("model that is something else", CORRUPT, ["model"],
             {"model": self.file("picture.ink", b"\x89PNG\r\n\x1a\n" + bytes(1000))}),
            ("model that is missing", IO, ["absent.ink"], {"model": self.folder / "absent.ink"}),
            ("server identity cut short", CORRUPT, ["cut_server.identity"],
             {"identity": self.file("cut_server.identity",
                                    self.d.server_identity.read_bytes()[:100])}),
            ("keys that are missing", IO, ["nowhere"], {"keys": self.folder / "nowhere"}),
            ("port that is taken", NETWORK, [str(self.port)], {"port": self.port}),
        ]

    def test_serve(self):
        for number, (name, code, words, options) in enumerate(self.serve_cases()):
            with self.subTest(name):
                options = {"state": self.folder / f"state{number}"} | options
                self.check(code, words, *self.d.serve_arguments(**options))


if __name__ == "__main__":
    INKLING, MAKE_DEVICES = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
