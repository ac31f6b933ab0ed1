"""Federated reranking gives what training at one place gives, and masks change no bit of it.

Usage: federated_rerank_test.py INKLING
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

INKLING = pathlib.Path(sys.argv.pop(1)).resolve()


def evaluate(*arguments):
    command = [INKLING, "rerank", "evaluate", "--json", "--no-curve", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def write_log(path, people):
    """Each person has a taste of their own for the first feature and shares one for the second."""
    random.seed(1)
    with open(path, "w", encoding="utf-8") as out:
        out.write("user,request,item,chosen,price,size\n")
        for user in range(people):
            taste = random.gauss(0, 2)
            for request in range(10):
                shown = [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(4)]
                best = max(range(4), key=lambda i: taste * shown[i][0] + shown[i][1])
                for i, (price, size) in enumerate(shown):
                    out.write(f"{user},{request},{i},{int(i == best)},{price},{size}\n")


class FederatedRerank(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.log = pathlib.Path(cls.scratch.name) / "log.csv"
        write_log(cls.log, 24)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_the_logit_is_the_central_one(self):
        central = evaluate("--data", "camera", "--model", "logit")
        federated = evaluate("--data", "camera", "--model", "logit", "--federated")
        self.assertEqual(federated["federated"]["clipped"], 0)
        for whose in ("global", "personal"):
            for metric in ("top1", "ndcg", "nll"):
                self.assertAlmostEqual(central[whose][metric], federated[whose][metric], delta=1e-3)

    def test_masks_change_no_bit(self):
        for model in ("logit", "edgerec"):
            arguments = ["--data", self.log, "--model", model, "--federated", "--rounds", "3",
                         "--cohort", "8"]
            clear, masked = evaluate(*arguments), evaluate(*arguments, "--masked")
            self.assertEqual(clear["model_digest"], masked["model_digest"])
            self.assertEqual(clear["personal"], masked["personal"])

    def test_privacy_has_the_budget_that_was_asked_for_and_a_price(self):
        report = pathlib.Path(self.scratch.name) / "report.html"
        result = evaluate("--data", self.log, "--model", "logit", "--epsilon", "1000,0.5",
                          "--report", report)
        for point, budget in zip(result["privacy"], (1000, 0.5)):
            self.assertLessEqual(point["epsilon"], budget)
            self.assertGreater(point["epsilon"], 0.95 * budget)
        dear, cheap = result["privacy"][1], result["privacy"][0]
        self.assertGreater(dear["personal"]["nll"], cheap["personal"]["nll"])
        self.assertIn("The price of privacy", report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
