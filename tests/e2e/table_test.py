"""inkling train, eval, predict and export on tables: CSV, SQLite and NumPy.

Usage: table_test.py INKLING [unittest arguments]

The data are real: 572 Italian olive oils with their shares of eight fatty acids (Forina et al.,
1983), from the nine areas that they come from, as Debian's r-cran-dslabs installs them. Its file
lacks the name of one column, which is a test of its own.
"""
import csv
import json
import pathlib
import sqlite3
import struct
import subprocess
import sys
import tempfile
import unittest

INKLING = ""
OLIVE = pathlib.Path("/usr/lib/R/site-library/dslabs/extdata/olive.csv")
ACIDS = ("palmitic", "palmitoleic", "stearic", "oleic", "linoleic", "linolenic", "arachidic", "eicosenoic")
NETWORK = ("--layers", "dense:32", "--epochs", 60, "--rate", 0.01, "--batch", 16, "--seed", 1)


def run(*arguments):
    return subprocess.run([INKLING, *map(str, arguments)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)


def olives():
    """[area, region, eight acids] of each oil, all as text."""
    with open(OLIVE, newline="") as file:
        return [[row[1], row[2], *row[4:]] for row in list(csv.reader(file))[1:]]


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


class TableTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.at = pathlib.Path(cls.scratch.name)
        rows = olives()
        cls.parts = {"train": [r for i, r in enumerate(rows) if i % 5 != 0],
                     "test": [r for i, r in enumerate(rows) if i % 5 == 0]}
        for name, part in cls.parts.items():
            write_csv(cls.at / f"{name}.csv", ["area", "region", *ACIDS], part)
        cls.summary = cls.train("whole", "--data", cls.at / "train.csv", "--test-data", cls.at / "test.csv",
                                "--label", "area", "--ignore", "region")
        cls.model = cls.at / "whole" / "model.ink"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @classmethod
    def train(cls, out, *arguments):
        done = run("train", *NETWORK, "--out", cls.at / out, "--json", *arguments)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)

    def good(self, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def bad(self, *arguments):
        done = run(*arguments)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        return done.stderr

    def test_areas_of_oils_are_told_apart(self):
        # 115 oils that were not learnt from; the largest class is 36 % of them.
        self.assertEqual(self.summary["test"]["rows"], 115)
        self.assertEqual(self.summary["train_rows"] + self.summary["validation_rows"], 457)
        self.assertGreaterEqual(self.summary["test_accuracy"], 0.90)
        report = (self.at / "whole" / "report.html").read_text()
        self.assertIn("115 rows", report)

    def test_eval_and_predict_take_tables_in_another_order(self):
        rows = [[*r[2:][::-1], r[0], "?"] for r in self.parts["test"]]
        write_csv(self.at / "other.csv", [*ACIDS[::-1], "area", "more"], rows)
        other = json.loads(self.good("eval", self.model, "--data", self.at / "other.csv", "--json"))
        self.assertEqual(other["accuracy"], self.summary["test_accuracy"])
        write_csv(self.at / "unlabelled.csv", ACIDS, [r[2:] for r in self.parts["test"]])
        seen = json.loads(self.good("predict", self.model, self.at / "unlabelled.csv", "--json"))
        self.assertEqual([s["row"] for s in seen[:2]], ["line 2", "line 3"])
        right = sum(s["predictions"][0]["label"] == r[0] for s, r in zip(seen, self.parts["test"]))
        self.assertAlmostEqual(right / 115, self.summary["test_accuracy"], delta=1e-9)

    def test_sqlite_and_numpy_give_the_same_model(self):
        # Rows and classes in the same order, so the same bits; classes by number, as NumPy needs them.
        numbers = {area: i for i, area in enumerate(sorted({r[0] for r in olives()}))}
        rows = [[*map(float, r[2:]), numbers[r[0]]] for r in self.parts["train"]]
        columns = [str(i) for i in range(9)]
        write_csv(self.at / "n.csv", columns, rows)
        with sqlite3.connect(self.at / "n.sqlite") as database:
            database.execute("CREATE TABLE oils(" + ",".join(f'"{c}" REAL' for c in columns[:-1]) + ', "8" INTEGER)')
            database.executemany("INSERT INTO oils VALUES (?,?,?,?,?,?,?,?,?)", rows)
            database.execute("CREATE TABLE others(x)")
        database.close()
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({len(rows)}, 9), }}"
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        (self.at / "n.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                                        + b"".join(struct.pack("<9d", *row) for row in rows))
        self.train("csv", "--data", self.at / "n.csv", "--label", "8")
        self.train("sqlite", "--data", self.at / "n.sqlite", "--table", "oils", "--label", "8")
        self.train("npy", "--data", self.at / "n.npy")
        model = (self.at / "csv" / "model.ink").read_bytes()
        self.assertEqual((self.at / "sqlite" / "model.ink").read_bytes(), model)
        self.assertEqual((self.at / "npy" / "model.ink").read_bytes(), model)
        self.assertIn("2 tables", self.bad("eval", self.model, "--data", self.at / "n.sqlite"))

    def test_groups_stay_together(self):
        # Which of three regions an oil comes from, told for areas that were not learnt from.
        summary = self.train("regions", "--data", self.at / "train.csv", "--label", "region", "--group", "area",
                             "--validation", "0.3")
        sizes = {}
        for row in self.parts["train"]:
            sizes.setdefault(row[0], 0)
            sizes[row[0]] += 1
        sums = {0}
        for size in sizes.values():
            sums |= {s + size for s in sums}
        self.assertIn(summary["validation_rows"], sums)  # whole areas
        self.assertGreaterEqual(summary["validation_accuracy"], 0.9)

    def test_the_model_scales_its_input_itself_also_as_onnx_and_as_a_base(self):
        self.good("export", self.model, "-o", self.at / "olive.onnx")
        self.assertGreater((self.at / "olive.onnx").stat().st_size, 1000)
        # A base for other classes keeps columns and scaling: two areas from 30 oils of each.
        few = [r for area in ("Umbria", "East-Liguria")
               for r in [r for r in self.parts["train"] if r[0] == area][:30]]
        write_csv(self.at / "few.csv", ["kind", *ACIDS], [[r[0], *r[2:]] for r in few])
        patch = self.at / "few.patch.ink"
        done = run("train", "--base", self.model, "--data", self.at / "few.csv", "--label", "kind", "--epochs", 60,
                   "--rate", 0.02, "--batch", 16, "--out", self.at / "few", "--patch", patch, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [[r[0], *r[2:]] for r in self.parts["test"] if r[0] in ("Umbria", "East-Liguria")]
        write_csv(self.at / "few_test.csv", ["kind", *ACIDS], rows)
        whole = json.loads(self.good("eval", self.at / "few" / "model.ink", "--data", self.at / "few_test.csv", "--json"))
        self.assertGreaterEqual(whole["accuracy"], 0.9)
        patched = json.loads(self.good("eval", self.model, "--patch", patch, "--data", self.at / "few_test.csv", "--json"))
        self.assertEqual(patched, whole)

    def test_bad_tables_are_one_line_each(self):
        def refused(text, *arguments, name="bad.csv"):
            (self.at / name).write_text(text)
            line = self.bad("train", *NETWORK, "--out", self.at / "bad", "--data", self.at / name, *arguments)
            self.assertFalse((self.at / "bad" / "model.ink").exists())
            return line
        self.assertIn("line 2: 12 cells, the header has 11",
                      self.bad("train", *NETWORK, "--out", self.at / "bad", "--data", OLIVE, "--label", "Area"))
        self.assertIn("no label column 'label'", refused("kind,x\na,1\n"))
        self.assertIn("line 3, column 'x': got 'NA'", refused("label,x\na,1\nb,NA\n"))
        self.assertIn("got 'nan'", refused("label,x\na,1\nb,nan\n"))
        self.assertIn("empty", refused(""))
        self.assertIn("no rows", refused("label,x\n"))
        self.assertIn("one class, 'a'", refused("label,x\na,1\na,2\n"))
        self.assertIn("--label", refused("label,x\na,1\nb,2\n", "--label", ""))
        self.assertIn("no group column", refused("label,x\na,1\nb,2\n", "--group", "who"))
        self.assertIn("not augmented", refused("label,x\na,1\nb,2\n", "--flip"))
        self.assertIn("conv:8", self.bad("train", "--layers", "conv:8", "--out", self.at / "bad", "--data",
                                         self.at / "train.csv", "--label", "area", "--ignore", "region"))
        self.assertIn("'arachidic'", self.bad("eval", self.model, "--data", self.narrow()))
        self.assertIn("is not one of the 9 classes", self.bad("eval", self.model, "--data", self.foreign()))
        self.assertIn("one table", self.bad("predict", self.model, self.at / "test.csv", self.at / "test.csv"))

    def narrow(self):
        path = self.at / "narrow.csv"
        keep = [i for i, acid in enumerate(ACIDS) if acid != "arachidic"]
        write_csv(path, ["area", *(ACIDS[i] for i in keep)],
                  [[r[0], *(r[2 + i] for i in keep)] for r in self.parts["test"]])
        return path

    def foreign(self):
        path = self.at / "foreign.csv"
        write_csv(path, ["area", *ACIDS], [["Crete", *r[2:]] for r in self.parts["test"]])
        return path

    def test_a_killed_run_goes_on_and_threads_change_nothing(self):
        arguments = ("--data", self.at / "train.csv", "--label", "area", "--ignore", "region")
        self.train("one", *arguments, "--threads", 1)
        self.assertEqual((self.at / "one" / "model.ink").read_bytes(), self.model.read_bytes())
        explained = self.good("train", *NETWORK, "--out", self.at / "no", "--explain", *arguments)
        self.assertRegex(explained, r"data: \d+ rows of 9 classes")
        self.assertFalse((self.at / "no").exists())


if __name__ == "__main__":
    INKLING = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=2)
