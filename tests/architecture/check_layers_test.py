"""The layer check finds what it is there to find: made-up trees with one thing wrong each."""
import pathlib
import tempfile
import unittest

import check_layers

LAYERS = "base runtime/base \nruntime runtime base\nautograd autograd runtime\n"


class CheckLayers(unittest.TestCase):
    def violations(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return check_layers.check(root, LAYERS)[0]

    def test_accepts_downward_and_transitive_includes(self):
        self.assertEqual([], self.violations({
            "runtime/base/bytes.h": "#include <vector>\n",
            "runtime/graph.h": '#include "runtime/base/bytes.h"\n',
            "autograd/adjoint.cpp": '#include "runtime/base/bytes.h"\n#include "runtime/graph.h"\n',
            "runtime/file.cpp": '#include "runtime/schema/model_generated.h"\n',
            "tools/main.cpp": '#include "runtime/graph.h"\n'}))

    def test_finds_an_upward_include_with_its_line(self):
        found = self.violations({
            "runtime/graph.h": "",
            "runtime/base/bytes.h": '#pragma once\n#include "runtime/graph.h"\n'})
        self.assertEqual(1, len(found))
        self.assertIn("runtime/base/bytes.h:2: layer base may not include layer runtime", found[0])

    def test_finds_a_layer_that_includes_the_command(self):
        found = self.violations({"tools/log.h": "", "runtime/a.cpp": '#include "tools/log.h"\n'})
        self.assertIn("outside every layer", found[0])

    def test_finds_a_path_that_is_not_from_the_root(self):
        found = self.violations({"runtime/a.h": "", "runtime/a.cpp": '#include "a.h"\n'})
        self.assertIn("not a path from the source root", found[0])

    def test_finds_a_heavy_header_that_leaves_its_folder_indirectly(self):
        files = {"runtime/heavy.h": "# include <httplib.h>\n",
                 "runtime/public.h": '#include "runtime/heavy.h"\n',
                 "runtime/a.cpp": '#include "runtime/heavy.h"\n'}
        self.assertEqual([], self.violations(files))
        files["autograd/a.cpp"] = '#include "runtime/public.h"\n'
        found = self.violations(files)
        self.assertEqual(1, len(found))
        self.assertIn('autograd/a.cpp:1: "runtime/public.h" pulls in a heavy', found[0])

    def test_a_folder_name_that_merely_starts_alike_is_another_folder(self):
        folders, _ = check_layers.read_layers("rerank rerank base\nbase runtime/base \n")
        self.assertIsNone(check_layers.layer_of("rerank_tools/a.h", folders))


if __name__ == "__main__":
    unittest.main()
