"""Every tracked C++ source is as clang-format would write it.

Usage: check_format.py SOURCE_ROOT
"""
import shutil
import subprocess
import sys


def main():
    root = sys.argv[1]
    if not shutil.which("clang-format"):
        print("clang-format is not installed: run tools/setup check")
        return 1
    listed = subprocess.run(["git", "-C", root, "ls-files", "--", "*.h", "*.cpp"],
                            capture_output=True, text=True, check=True).stdout.split()
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *listed], cwd=root, check=False)
    print(f"{len(listed)} files")
    return 1 if run.returncode or not listed else 0


if __name__ == "__main__":
    sys.exit(main())
