"""The library as an app meets it: installed, found, linked and weighed.

Usage: consumer_test.py SOURCE_DIR CAMERA_FEED INKLING

Builds the embed preset, installs it into a temporary folder, and shows that a C99 program links it
by find_package and by pkg-config with SQLite and the C and C++ runtimes alone; that of a shared
object only ink_* is visible; that loading runs no code; and that reranking and training weigh at
most 1.5 MB.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
CAMERA_FEED = pathlib.Path(sys.argv.pop(1)).resolve()
INKLING = pathlib.Path(sys.argv.pop(1)).resolve()
OLIVE = pathlib.Path("/usr/lib/R/site-library/dslabs/extdata/olive.csv")
BUILD = SOURCE / "build" / "embed"
CLOSURE_BYTES_MAX = 1_500_000
RUNTIMES = {"libsqlite3.so.0", "libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6",
            "ld-linux-x86-64.so.2"}


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def needed(program):
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-d", program)))


class Consumer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        run("cmake", "--preset", "embed", cwd=SOURCE)
        run("cmake", "--build", "--preset", "embed", "--target", "inkling_app", cwd=SOURCE)
        # Installed at one place and moved to another: nothing may remember where it was.
        run("cmake", "--install", BUILD, "--prefix", cls.folder / "first")
        cls.prefix = cls.folder / "moved"
        (cls.folder / "first").rename(cls.prefix)
        [cls.library] = cls.prefix.rglob("libinkling.a")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def flags(self):
        env = dict(os.environ, PKG_CONFIG_PATH=str(self.library.parent / "pkgconfig"))
        return run("pkg-config", "--cflags", "--libs", "inkling", env=env).split()

    def check_program(self, program):
        self.assertLessEqual(needed(program), RUNTIMES)
        self.assertIn("libsqlite3.so.0", needed(program))
        with tempfile.TemporaryDirectory(dir=self.folder) as data:
            self.assertEqual(run(program, data), "order 0 1 2, 4 rows\n")

    def test_find_package_serves_a_project_in_c_alone(self):
        build = self.folder / "found"
        run("cmake", "-G", "Ninja", "-S", SOURCE / "tests" / "consumer", "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release")
        run("cmake", "--build", build)
        self.check_program(build / "consumer")

    def test_pkg_config_serves_a_plain_compiler_call(self):
        program = self.folder / "by_pkg_config"
        run("cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror",
            SOURCE / "tests" / "consumer" / "consumer.c", *self.flags(), "-o", program)
        self.check_program(program)

    def test_feed_app_puts_what_people_take_higher_than_the_server(self):
        build, feed = self.folder / "feed_app", self.folder / "feed"
        run("cmake", "-G", "Ninja", "-S", SOURCE / "examples" / "feed_app", "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release")
        run("cmake", "--build", build)
        run(CAMERA_FEED, feed)
        server, app = 0.0, 0.0
        for person in range(1, 21):
            out = run(build / "feed_app", self.folder / "people" / str(person), feed / "camera.bundle",
                      feed / "camera.csv", str(person))
            self.assertEqual(len(re.findall(r"^slate \d+: .* for .*[+-]\d", out, re.M)), 4, out)
            self.assertIn("learnt from 12 slates", out)
            places = re.search(r"server ([\d.]+), app ([\d.]+)$", out)
            server += float(places[1]) / 20
            app += float(places[2]) / 20
        # Random is 3; everyone's model with history stands at about 1.5 (docs/benchmarks.md).
        self.assertGreater(server, 2.5)
        self.assertLess(app, 1.8)

    def test_learner_learns_classes_of_its_own_from_a_model_of_others(self):
        build = self.folder / "learner_app"
        run("cmake", "-G", "Ninja", "-S", SOURCE / "examples" / "learner", "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release")
        run("cmake", "--build", build)
        # Olive oils: the model tells areas of the south apart, the app two of the north.
        oils = [line.split(",") for line in OLIVE.read_text().splitlines()[1:]]
        north = [o for o in oils if o[2] == "3" and o[1] != "Umbria"]
        table = self.folder / "south.csv"
        acids = ",".join(f"acid{i}" for i in range(8))
        table.write_text(f"label,{acids}\n" + "".join(
            ",".join([o[1], *o[4:]]) + "\n" for o in oils if o[2] == "1"))
        rows, patch = self.folder / "north.csv", self.folder / "north.patch.ink"
        rows.write_text("".join(",".join([o[1], *o[4:]]) + "\n" for o in north))
        run(INKLING, "train", "--layers", "dense:32", "--data", table, "--epochs", "40", "--rate", "0.01",
            "--batch", "16", "--out", self.folder / "south")
        out = run(build / "learner", self.folder / "south" / "model.ink", rows, patch)
        print(out, end="")
        found = re.search(r"^(\d+) examples kept, (\d+) steps in (\d+) bytes: accuracy ([\d.]+), then ([\d.]+), "
                          r"from the patch ([\d.]+)$", out)
        self.assertLessEqual(int(found[3]), 4 << 20)
        self.assertGreaterEqual(float(found[5]), 0.9)
        self.assertEqual(found[5], found[6])
        self.assertLess(patch.stat().st_size, 2000)
        # The command puts the app's patch onto the same base: every third row, as the app asked.
        asked = self.folder / "asked.csv"
        asked.write_text(f"label,{acids}\n" + "".join(rows.read_text().splitlines(keepends=True)[::3]))
        seen = run(INKLING, "eval", self.folder / "south" / "model.ink", "--patch", patch, "--data", asked,
                   "--json")
        self.assertAlmostEqual(json.loads(seen)["accuracy"], float(found[5]), delta=5e-4)

    def test_header_is_c99_and_cpp(self):
        for compiler, language, standard in (("cc", "c", "c99"), ("c++", "c++", "c++98")):
            run(compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic-errors",
                "-Wno-long-long", "-Werror", "-fsyntax-only", self.prefix / "include" / "inkling.h")

    def test_installed_cpp_headers_serve_a_program(self):
        source = self.folder / "logit.cpp"
        source.write_text('#include "rerank/conditional_logit.h"\n'
                          "int main() {\n"
                          '  const auto schema = inkling::FeatureSchema::create(1, {{.name = "price"}});\n'
                          "  return schema && schema->width() == 1 ? 0 : 1;\n}\n")
        program = self.folder / "logit"
        run("c++", "-std=c++20", source, *self.flags(), "-o", program)
        run(program)

    def test_of_a_shared_object_only_the_c_interface_is_visible(self):
        shared = self.folder / "libapp.so"
        run("c++", "-shared", "-o", shared, "-Wl,--whole-archive", self.library,
            "-Wl,--no-whole-archive", "-lsqlite3")
        names = [line.split()[-1] for line in run("nm", "-D", "--defined-only", shared).splitlines()]
        # libstdc++ marks its templates visible itself; they belong to the runtime, not to Inkling.
        ours = [name for name in names if not re.match(r"_Z(T[SIV])?Z?N?K?St", name)]
        self.assertTrue(ours)
        self.assertEqual([name for name in ours if not name.startswith("ink_")], [])
        header = (self.prefix / "include" / "inkling.h").read_text()
        declared = set(re.findall(r"INK_API [^;(]*?(ink_\w+)\(", header))
        self.assertEqual(set(ours), declared)

    def test_loading_runs_no_code(self):
        for line in run("readelf", "-SW", self.library).splitlines():
            self.assertIsNone(re.search(r"\.(init_array|ctors|preinit_array)", line), line)

    def test_weight_of_reranking_and_training(self):
        header = (self.prefix / "include" / "inkling.h").read_text()
        functions = re.findall(r"INK_API [^;(]*?(ink_\w+)\(", header)
        source = self.folder / "closure.cpp"
        source.write_text('#include <inkling.h>\n#include "rerank/learn/personaliser.h"\n'
                          "// Every function of the C interface, and training any model by autograd.\n"
                          "const void* volatile kept[] = {" +
                          ",".join(f"reinterpret_cast<const void*>({f})" for f in functions) + "};\n"
                          "int main() { return inkling::Personaliser::create({}, {}) ? 1 : kept[0] == nullptr; }\n")
        program = self.folder / "closure"
        run("c++", "-std=c++20", "-Os", source, *self.flags(), "-Wl,--gc-sections", "-Wl,--as-needed",
            "-s", "-o", program)
        self.assertLessEqual(needed(program), RUNTIMES)
        size = program.stat().st_size
        print(f"stripped static closure: {size} bytes")
        self.assertLessEqual(size, CLOSURE_BYTES_MAX)


if __name__ == "__main__":
    unittest.main(verbosity=2)
