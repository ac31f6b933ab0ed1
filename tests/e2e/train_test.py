"""The transfer-learning commands on real pictures: train, eval, predict, export.

Usage: train_test.py INKLING NODE_MODULES [unittest arguments]
"""
import gzip
import hashlib
import json
import pathlib
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

INKLING, NODE_MODULES = "", pathlib.Path()
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
NETWORK = ("--layers", "conv:8:3:2 pool dense:16", "--rate", "0.005")

COMPARE = """
const {createRequire} = require('node:module');
const [modules, model, input, dims, file] = process.argv.slice(1);
const ort = createRequire(modules + '/x.js')('onnxruntime-node');
(async () => {
  const session = await ort.InferenceSession.create(model);
  const bytes = require('node:fs').readFileSync(file);
  const data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const out = await session.run({[input]: new ort.Tensor('float32', data, JSON.parse(dims))});
  console.log(JSON.stringify(Object.values(out).map((t) => Array.from(t.data))));
})();
"""


def run(*arguments):
    return subprocess.run([INKLING, *map(str, arguments)], capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL)


def pictures(folder, names, count, offset=0):
    """The first `count` test pictures of some classes of Fashion-MNIST, as files: a folder per class."""
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        pixels = file.read()[16:]
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        labels = file.read()[8:]
    for label, name in names.items():
        (folder / name).mkdir(parents=True)
        rows = [i for i, value in enumerate(labels) if value == label][offset:offset + count]
        for row in rows:
            (folder / name / f"{row}.png").write_bytes(png(pixels[row * 784:(row + 1) * 784]))


def png(grey):
    """28 x 28 pixels as a PNG file."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + grey[y * 28:(y + 1) * 28] for y in range(28))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def npy(path, dims, values):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(dims)}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                     + struct.pack(f"<{len(values)}f", *values))


def floats(path):
    raw = path.read_bytes()
    start = 10 + struct.unpack("<H", raw[8:10])[0]
    return struct.unpack(f"<{(len(raw) - start) // 4}f", raw[start:])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Train(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.at = pathlib.Path(cls.folder.name)
        pictures(cls.at / "clothes", {1: "trouser", 7: "sneaker", 8: "bag"}, 60)
        pictures(cls.at / "shoes", {5: "sandal", 9: "boot"}, 40)
        result = run("train", "--data", cls.at / "clothes", *NETWORK, "--size", 28, "--epochs", 6,
                     "--batch", 16, "--out", cls.at / "base", "--json")
        assert result.returncode == 0, result.stderr
        cls.summary = json.loads(result.stdout)

    def good(self, *arguments):
        result = run(*arguments)
        self.assertEqual(0, result.returncode, result.stderr)
        return result.stdout

    def bad(self, *arguments):
        """Fails in one line, which it gives."""
        result = run(*arguments)
        self.assertNotEqual(0, result.returncode)
        self.assertEqual("", result.stdout)
        self.assertRegex(result.stderr, re.compile(r"\Ainkling: [^\n]+\n\Z"))
        return result.stderr

    def test_a_small_network_learns(self):
        self.assertEqual(6, self.summary["epochs"])
        self.assertEqual(162, self.summary["train_pictures"])
        self.assertEqual(18, self.summary["validation_pictures"])
        self.assertGreater(self.summary["validation_accuracy"], 0.85)
        report = (self.at / "base" / "report.html").read_text(encoding="utf-8")
        self.assertIn("Confusion", report)
        self.assertNotRegex(report, "(src|href)='?http")

    def test_eval_and_predict_agree_with_the_labels(self):
        pictures(self.at / "more", {1: "trouser", 7: "sneaker", 8: "bag"}, 30, offset=60)
        result = json.loads(self.good("eval", self.at / "base" / "model.ink", "--data",
                                      self.at / "more", "--json"))
        self.assertEqual(90, result["pictures"])
        self.assertGreater(result["accuracy"], 0.85)
        self.assertEqual(90, sum(map(sum, result["confusion"])))
        files = sorted((self.at / "more" / "bag").iterdir())[:5]
        said = json.loads(self.good("predict", self.at / "base" / "model.ink", *files, "--json"))
        self.assertGreaterEqual(sum(p["predictions"][0]["label"] == "bag" for p in said), 3)
        for p in said:
            self.assertAlmostEqual(1, sum(q["probability"] for q in p["predictions"]), places=4)

    def test_run_takes_a_picture_as_predict_does(self):
        model = self.at / "base" / "model.ink"
        about = json.loads(self.good("inspect", model, "--json"))
        file = next((self.at / "clothes").glob("*/*.png"))
        self.good("run", model, "--input", f"{about['inputs'][0]['name']}={file}",
                  "--output-dir", self.at / "run")
        numbers = floats(next((self.at / "run").iterdir()))
        said = json.loads(self.good("predict", model, file, "--json"))[0]["predictions"]
        self.assertEqual(3, len(numbers))
        for number, top in zip(sorted(numbers, reverse=True), said, strict=True):
            self.assertAlmostEqual(number, top["probability"], places=5)

    def test_a_base_learns_other_classes_whatever_is_trained(self):
        for part in ("head", "last:1", "bias", "lora:rank=2", "all"):
            out = self.at / f"shoes-{part.replace(':', '-')}"
            summary = json.loads(self.good(
                "train", "--base", self.at / "base" / "model.ink", "--data", self.at / "shoes",
                "--train", part, "--epochs", 12, "--batch", 16, "--rate", "0.01", "--out", out, "--json"))
            self.assertGreaterEqual(summary["validation_accuracy"], 0.75, part)
            self.assertEqual(part == "head", summary["cached_features"])
            self.good("eval", out / "model.ink", "--data", self.at / "shoes")

    def test_a_patch_on_its_base_is_the_model(self):
        base, patch, out = self.at / "base" / "model.ink", self.at / "shoes.patch.ink", self.at / "patched"
        self.good("train", "--base", base, "--data", self.at / "shoes", "--train", "bias", "--epochs", 3,
                  "--batch", 16, "--out", out, "--patch", patch)
        self.assertLess(patch.stat().st_size, (out / "model.ink").stat().st_size)
        whole = self.good("eval", out / "model.ink", "--data", self.at / "shoes", "--json")
        self.assertEqual(whole, self.good("eval", base, "--patch", patch, "--data", self.at / "shoes", "--json"))
        picture = next((self.at / "shoes" / "boot").iterdir())
        self.assertEqual(self.good("predict", out / "model.ink", picture, "--json"),
                         self.good("predict", base, "--patch", patch, picture, "--json"))
        self.assertIn("SHA-256", self.bad("predict", out / "model.ink", "--patch", patch, picture))
        self.assertIn("no patch", self.bad("predict", base, "--patch", out / "model.ink", picture))
        damaged = bytearray(patch.read_bytes())
        damaged[-9] ^= 1
        patch.write_bytes(damaged)
        self.assertIn("digest", self.bad("predict", base, "--patch", patch, picture))
        self.assertIn("no base", self.bad("train", "--data", self.at / "clothes", *NETWORK, "--patch", patch,
                                          "--out", self.at / "never"))

    def test_less_memory_gives_the_same_model(self):
        arguments = ("train", "--data", self.at / "clothes", "--epochs", 1, "--batch", 64, "--threads", 1,
                     "--layers", "conv:16 conv:16 conv:16 conv:16 conv:16 conv:16 pool dense:16")
        explained = (result for limit in range(40, 400, 4)
                     for result in [(limit, run(*arguments, "--memory", limit, "--explain", "--json"))])
        limit, said = next((limit, json.loads(result.stdout)) for limit, result in explained
                           if result.returncode == 0)
        self.assertGreaterEqual(said["recomputed_segments"], 1)
        self.good(*arguments, "--out", self.at / "roomy")
        self.good(*arguments, "--memory", limit, "--out", self.at / "tight")
        self.assertEqual(digest(self.at / "roomy" / "model.ink"), digest(self.at / "tight" / "model.ink"))

    def test_every_optimizer_learns_and_goes_on(self):
        for name, rate in (("sgd", 0.05), ("nesterov", 0.05), ("adagrad", 0.05), ("rmsprop", 0.002), ("ftrl", 0.05)):
            arguments = ("train", "--data", self.at / "clothes", *NETWORK[:2], "--optimizer", name, "--rate", rate,
                         "--batch", 16, "--ema", 0.9, "--schedule", "constant")
            whole = json.loads(self.good(*arguments, "--epochs", 6, "--out", self.at / name, "--json"))
            self.assertGreater(whole["validation_accuracy"], 0.7, name)
        halted = self.at / "halted"
        with subprocess.Popen([INKLING, *map(str, arguments), "--epochs", "6", "--out", str(halted)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not (halted / "checkpoint.bin").exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        self.good(*arguments, "--epochs", 6, "--out", halted, "--resume", "--force")
        self.assertEqual(digest(self.at / "ftrl" / "model.ink"), digest(halted / "model.ink"))

    def test_a_batch_in_pieces_learns_what_the_whole_batch_learns(self):
        arguments = ("train", "--data", self.at / "clothes", *NETWORK, "--epochs", 2, "--batch", 16, "--optimizer",
                     "sgd", "--json")
        whole = json.loads(self.good(*arguments, "--out", self.at / "unbroken"))
        pieces = json.loads(self.good(*arguments, "--accumulate", 4, "--out", self.at / "pieces"))
        self.assertEqual([1, 4], [whole["micro_batches"], pieces["micro_batches"]])
        self.assertLess(pieces["memory_mb"], whole["memory_mb"])
        self.assertAlmostEqual(whole["validation_nll"], pieces["validation_nll"], places=4)
        self.assertIn("divisor", self.bad("train", "--data", self.at / "clothes", *NETWORK, "--batch", 16,
                                          "--accumulate", 3, "--out", self.at / "never"))

    def test_mixup_and_balance_give_the_same_model_on_any_number_of_threads(self):
        for how in ("weights", "sampling"):
            for threads in (1, 2):
                self.good("train", "--data", self.at / "clothes", *NETWORK, "--epochs", 2, "--mixup", 0.4, "--balance",
                          how, "--clip-value", 0.5, "--threads", threads, "--out", self.at / f"{how}{threads}")
            self.assertEqual(digest(self.at / f"{how}1" / "model.ink"), digest(self.at / f"{how}2" / "model.ink"))
        self.assertNotEqual(digest(self.at / "weights1" / "model.ink"), digest(self.at / "sampling1" / "model.ink"))

    def test_a_rare_class_is_found_when_classes_are_balanced(self):
        pictures(self.at / "rare", {1: "trouser"}, 120)
        pictures(self.at / "rare", {3: "dress"}, 6)
        pictures(self.at / "even", {1: "trouser", 3: "dress"}, 60, offset=200)
        arguments = ("train", "--data", self.at / "rare", *NETWORK[:2], "--rate", 0.001, "--epochs", 4, "--batch", 16,
                     "--validation", 0, "--test-data", self.at / "even", "--json")
        found = {how: json.loads(self.good(*arguments, "--balance", how, "--out", self.at / f"rare-{how}"))
                 ["test_accuracy"] for how in ("none", "weights", "sampling")}
        self.assertGreater(found["weights"], found["none"])
        self.assertGreater(found["sampling"], found["none"])

    def test_a_full_disk_ends_in_one_line_and_leaves_nothing_half_written(self):
        out = self.at / "full"

        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        result = subprocess.run([INKLING, "train", "--data", self.at / "clothes", *NETWORK, "--epochs", "1", "--out",
                                 out], capture_output=True, text=True, check=False, preexec_fn=no_room)
        self.assertEqual(4, result.returncode, result.stderr)
        self.assertRegex(result.stderr, re.compile(r"\Ainkling: [^\n]+\n\Z"))
        self.assertFalse((out / "model.ink").exists())
        self.assertEqual([], [p for p in out.iterdir() if p.name not in ("run.toml", "checkpoint.bin")])

    def test_any_number_of_threads_gives_the_same_model(self):
        for threads in (1, 2):
            self.good("train", "--data", self.at / "clothes", *NETWORK, "--epochs", 2, "--flip",
                      "--shift", 2, "--threads", threads, "--out", self.at / f"threads{threads}")
        self.assertEqual(digest(self.at / "threads1" / "model.ink"),
                         digest(self.at / "threads2" / "model.ink"))

    def test_pictures_that_are_not_kept_give_the_same_model(self):
        models = set()
        for memory, threads in ((1, 1), (0, 1), (0, 2)):
            out = self.at / f"streamed{memory}{threads}"
            summary = json.loads(self.good(
                "train", "--data", self.at / "clothes", *NETWORK, "--epochs", 2, "--flip", "--data-memory", memory,
                "--threads", threads, "--out", out, "--json"))
            self.assertEqual(0 if memory else 180, summary["streamed_pictures"])
            models.add(digest(out / "model.ink"))
        self.assertEqual(1, len(models))

    def test_a_killed_run_goes_on_to_the_same_model(self):
        arguments = ["train", "--data", self.at / "clothes", *NETWORK, "--epochs", "40", "--flip"]
        self.good(*arguments, "--out", self.at / "whole")
        killed = self.at / "killed"
        arguments += ["--data-memory", "0"]  # nor does it matter which pictures are kept
        with subprocess.Popen([INKLING, *map(str, arguments), "--out", str(killed)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not (killed / "checkpoint.bin").exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        self.assertFalse((killed / "model.ink").exists())
        self.assertIn("--resume", self.bad(*arguments, "--out", killed))
        self.assertIn("other settings", self.bad(*arguments, "--out", killed, "--resume",
                                                 "--seed", "9"))
        self.good(*arguments, "--out", killed, "--resume")
        self.assertEqual(digest(self.at / "whole" / "model.ink"), digest(killed / "model.ink"))

    def test_explain_writes_nothing(self):
        out = self.at / "explained"
        said = json.loads(self.good("train", "--base", self.at / "base" / "model.ink", "--data",
                                    self.at / "shoes", "--out", out, "--explain", "--json"))
        self.assertEqual(2 * 16 + 2, said["trained_parameters"])
        self.assertFalse(out.exists())
        self.assertIn("--memory", self.bad("train", "--data", self.at / "clothes", "--layers",
                                           "conv:64 conv:64 dense:64", "--memory", 10, "--out", out))
        self.assertFalse(out.exists())

    def test_settings_may_stand_in_a_file(self):
        (self.at / "run.toml").write_text(
            f'[train]\ndata = "{self.at / "clothes"}"\nlayers = "conv:8:3:2 pool dense:16"\nrate = 0.005\n'
            "epochs = 6\nbatch = 16\nsize = 28\n", encoding="utf-8")
        self.good("train", "--config", self.at / "run.toml", "--out", self.at / "configured")
        self.assertEqual(digest(self.at / "base" / "model.ink"),
                         digest(self.at / "configured" / "model.ink"))
        (self.at / "typo.toml").write_text("[train]\nepoch = 3\n", encoding="utf-8")
        self.assertIn("epoch", self.bad("train", "--config", self.at / "typo.toml", "--data",
                                        self.at / "clothes", *NETWORK))

    def test_an_exported_model_gives_the_same_numbers_in_onnxruntime(self):
        self.good("export", self.at / "base" / "model.ink", "--out", self.at / "model.onnx")
        values = [((i * 37) % 101) / 50 - 1 for i in range(784)]
        npy(self.at / "x.npy", (1, 28, 28, 1), values)
        (self.at / "x.f32").write_bytes(struct.pack("<784f", *values))
        self.good("run", self.at / "base" / "model.ink", "--input", f"picture={self.at / 'x.npy'}",
                  "--output-dir", self.at / "out")
        ours = floats(self.at / "out" / "probabilities.npy")
        theirs = subprocess.run(
            ["node", "-e", COMPARE, NODE_MODULES, self.at / "model.onnx", "picture", "[1,28,28,1]",
             self.at / "x.f32"], capture_output=True, text=True, check=False)
        self.assertEqual(0, theirs.returncode, theirs.stderr)
        for a, b in zip(ours, json.loads(theirs.stdout)[0], strict=True):
            self.assertAlmostEqual(a, b, places=5)

    def test_pictures_with_names_that_begin_alike_are_not_split(self):
        pictures(self.at / "people", {1: "trouser", 7: "sneaker"}, 20)
        for folder in (self.at / "people").iterdir():
            for i, file in enumerate(sorted(folder.iterdir())):
                file.rename(folder / f"{folder.name[0]}{i // 10}-{i}.png")
        arguments = ("train", "--data", self.at / "people", *NETWORK, "--out", self.at / "people-run")
        for group, held_back in ((), 4), (("--group", "prefix:2"), 20):
            said = json.loads(self.good(*arguments, *group, "--explain", "--json"))
            self.assertEqual(held_back, said["validation_pictures"])
        self.assertIn("prefix:N", self.bad(*arguments, "--group", "person"))
        self.assertIn("shorter", self.bad(*arguments, "--group", "prefix:40"))
        label_file = self.at / "people" / "labels.csv"
        label_file.write_text("file,label,group\ntrouser/t0-0.png,a,x\nsneaker/s0-0.png,b,y\n")
        self.assertIn("already", self.bad("train", "--data", label_file, *NETWORK, "--group", "prefix:2"))

    def test_a_corrupt_picture_is_named_and_skipped(self):
        pictures(self.at / "partly", {1: "trouser", 7: "sneaker"}, 10)
        broken = self.at / "partly" / "sneaker" / "broken.png"
        broken.write_bytes(b"\x89PNG\r\n\x1a\nno more")
        result = run("train", "--data", self.at / "partly", *NETWORK, "--epochs", 1, "--out",
                     self.at / "partly-run", "--json")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual(1, json.loads(result.stdout)["skipped_pictures"])
        self.assertIn("sneaker/broken.png", result.stderr)

    def test_bad_input_ends_in_one_line(self):
        out = ("--out", self.at / "never")
        (self.at / "single" / "one").mkdir(parents=True)
        self.assertIn("no pictures", self.bad("train", "--data", self.at / "single", *NETWORK, *out))
        pictures(self.at / "lonely", {1: "trouser"}, 3)
        self.assertIn("1 class", self.bad("train", "--data", self.at / "lonely", *NETWORK, *out))
        (self.at / "clothes" / "labels.csv").write_text("file,label\nbag/nothing.png,purse\n")
        self.assertIn("'purse'", self.bad("eval", self.at / "base" / "model.ink", "--data",
                                          self.at / "clothes" / "labels.csv"))
        self.assertIn("not finite", self.bad("train", "--data", self.at / "clothes", *NETWORK[:2],
                                             "--rate", "1e30", "--optimizer", "sgd", *out))
        self.assertIn("'conv'", self.bad("train", "--data", self.at / "clothes", "--layers", "conv",
                                         *out))
        self.assertIn("apt install dataset-fashion-mnist" if not FASHION.exists() else "no such",
                      self.bad("train", "--data", "/nowhere", *NETWORK, *out))
        self.assertIn("'everything'", self.bad("train", "--data", self.at / "clothes", *NETWORK,
                                               "--train", "everything", *out))
        self.bad("train", "--data", self.at / "clothes", *NETWORK, "--epochs", 1, "--out",
                 "/dev/full/run")
        self.assertIn("labels", self.bad("predict", self.at / "clothes" / "labels.csv", "x.png")
                      + "labels")
        self.assertFalse((self.at / "never" / "model.ink").exists())


if __name__ == "__main__":
    INKLING, NODE_MODULES = sys.argv[1], pathlib.Path(sys.argv[2])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
