"""Compiles every header of every layer alone: a header includes what it uses.

Usage: check_headers.py SOURCE_ROOT BUILD_DIR COMPILER
Reads BUILD_DIR/layers.txt. A header that its own .cpp includes before anything else has been
compiled alone by the build; the others are compiled here, through ccache where there is one.
"""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

import check_layers

FLAGS = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror",
         "-DONNX_ML=1", "-DONNX_NAMESPACE=onnx"]  # which of its headers libonnx chooses


def compile_alone(root, build, compiler, header):
    """Returns the compiler's complaint, or the empty string."""
    stub = build / "headers" / (header.replace("/", "_") + ".cpp")
    text = f'#include "{header}"\n'
    if not stub.is_file() or stub.read_text(encoding="utf-8") != text:
        stub.write_text(text, encoding="utf-8")
    launcher = [shutil.which("ccache")] if shutil.which("ccache") else []
    command = launcher + [compiler, *FLAGS, f"-I{root}", f"-isystem{build / 'generated'}",
                          "-c", str(stub), "-o", str(stub.with_suffix(".o"))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else f"{header} does not compile alone:\n{run.stderr}"


def compiled_by_the_build(root, header):
    """True when the first include of the .cpp beside the header is the header."""
    source = (root / header).with_suffix(".cpp")
    if not source.is_file():
        return False
    first = next(check_layers.includes(source), None)
    return first is not None and first[2] == header


def main():
    root, build, compiler = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    folders, _ = check_layers.read_layers((build / "layers.txt").read_text(encoding="utf-8"))
    names = [path.relative_to(root).as_posix() for path in check_layers.sources(root)
             if path.suffix == ".h"]
    headers = [name for name in names if check_layers.layer_of(name, folders)]
    left = [header for header in headers if not compiled_by_the_build(root, header)]
    (build / "headers").mkdir(exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = list(filter(None, pool.map(
            lambda header: compile_alone(root, build, compiler, header), left)))
    print("\n".join(complaints + [f"{len(headers)} headers, {len(left)} compiled here, "
                                  f"{len(complaints)} not self-contained"]))
    return 1 if complaints or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
