"""`inkling demo` shows what it must on real data, and the same on one thread as on two.

Usage: demo_test.py INKLING NPM_FOLDER [unittest arguments]
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

INKLING, NPM = "", ""
SEED = 1
TIMEOUT_S = 600
STAGES = ["onnx", "transfer", "rerank", "federated", "report"]

# Where in summary.json, least, most. None: no bound.
BOUNDS = [
    ("onnx.max_abs_error", 0, 1e-4),
    ("onnx.numbers_compared", 1, None),
    ("transfer.accuracy_three_new_classes", 0.90, 1),
    ("transfer.seconds", 0, 10),
    ("rerank.camera.top1_global", 0.44, 0.48),
    ("rerank.camera.top1_personal", 0.62, 1),
    ("rerank.camera.nll_personal", 0, 1.0),
    ("federated.dropped_clients", 1, None),
    ("federated.cohort", 16, None),
    ("federated.elements_compared", 1, None),
    ("federated.bytes_up_per_client", 1, None),
]
# Anything that a browser would fetch. Namespaces are names, not addresses.
FETCHES = re.compile(r"""<(?:script|link|iframe|object|embed|img|base)\b[^>]*\b(?:src|href|data)\s*=
                         |\b(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(\s*["']?(?!\#|data:)""",
                     re.VERBOSE | re.IGNORECASE)
REPORT_BYTES_MIN = 10_000  # four sections with tables and charts


def field(summary, path):
    for name in path.split("."):
        summary = summary[name]
    return summary


def without_timings(value):
    if isinstance(value, list):
        return [without_timings(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_timings(item) for name, item in value.items()
            if name not in ("timings", "seconds") and not name.endswith("_seconds")}


class Demo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.out = {threads: pathlib.Path(folder.name, str(threads)) for threads in (1, 2)}
        cls.runs, cls.summaries = {}, {}
        for threads, out in cls.out.items():
            out.mkdir()
            cls.runs[threads] = subprocess.run(
                [INKLING, "demo", "--seed", str(SEED), "--threads", str(threads), "--npm", NPM,
                 "--out", out], check=False, capture_output=True, text=True, timeout=TIMEOUT_S,
                stdin=subprocess.DEVNULL)
            if cls.runs[threads].returncode == 0:
                cls.summaries[threads] = json.loads((out / "summary.json").read_text("utf-8"))

    def setUp(self):
        for run in self.runs.values():
            self.assertEqual(0, run.returncode, run.stderr)

    def test_prints_one_line_a_stage(self):
        for run in self.runs.values():
            self.assertEqual(STAGES, [line.partition(":")[0] for line in run.stdout.splitlines()])
            self.assertTrue(all(line.partition(":")[2].strip() for line in run.stdout.splitlines()))

    def test_summary_is_within_the_bounds(self):
        for threads, summary in self.summaries.items():
            for path, least, most in BOUNDS:
                with self.subTest(path, threads=threads):
                    value = field(summary, path)
                    self.assertNotIsInstance(value, bool)
                    self.assertGreaterEqual(value, least)
                    if most is not None:
                        self.assertLessEqual(value, most)

    def test_federated_model_is_as_good_as_the_central_one(self):
        for summary in self.summaries.values():
            self.assertAlmostEqual(field(summary, "rerank.camera.top1_global"),
                                   field(summary, "federated.top1_global"), delta=0.01)

    def test_masked_sum_is_the_plain_sum(self):
        for summary in self.summaries.values():
            self.assertIs(True, field(summary, "federated.masked_equals_plain"))

    def test_summary_says_what_made_it(self):
        version = subprocess.run([INKLING, "--version"], check=True, capture_output=True, text=True)
        for summary in self.summaries.values():
            self.assertEqual(SEED, summary["seed"])
            self.assertEqual(version.stdout.strip().removeprefix("inkling "),
                             summary["inkling"].removeprefix("inkling "))

    def test_summary_is_the_same_on_one_thread_and_on_two(self):
        self.assertEqual([1, 2], [field(self.summaries[n], "timings.threads") for n in (1, 2)])
        self.assertEqual(without_timings(self.summaries[1]), without_timings(self.summaries[2]))

    def test_report_needs_nothing_but_itself(self):
        for out in self.out.values():
            html = (out / "report.html").read_text("utf-8")
            self.assertGreater(len(html), REPORT_BYTES_MIN)
            self.assertIsNone(FETCHES.search(html))
            self.assertNotIn("<script", html.lower())
            addresses = set(re.findall(r"https?://[^\s\"'<>)]+", html))
            self.assertLessEqual(addresses, {"http://www.w3.org/2000/svg"})
            for stage in ("<svg", "<table"):
                self.assertIn(stage, html)


if __name__ == "__main__":
    INKLING, NPM = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
