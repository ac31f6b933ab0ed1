"""Holds every #include to the floor plan that CMake wrote.

layers.txt has one row per layer: "name folder allowed...". A file belongs to the layer with the
longest folder that contains it. It may include its own layer, the layers its row allows, and what
those allow in turn. Files outside every layer (the command, the tests) may include anything, and
no layer may include them. Quoted paths start at the source root. A header that includes a heavy
third-party header, itself or through another, is private to its folder.

Usage: check_layers.py SOURCE_ROOT LAYERS_TXT
"""
import pathlib
import re
import sys

TOP_FOLDERS = ("runtime", "autograd", "storage", "rerank", "federated", "convert", "server-sim",
               "embed", "tools", "tests", "examples")
SUFFIXES = (".h", ".cpp", ".inc")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CONFINED = ("httplib.h", "CLI/", "nlohmann/", "spdlog/", "onnx/", "google/protobuf/", "toml++/")


def read_layers(text):
    """Returns ({folder: layer}, {layer: every layer it may include, itself too})."""
    folders, direct = {}, {}
    for row in filter(None, text.splitlines()):
        name, folder, *allowed = row.split()
        folders[folder] = name
        direct[name] = set(allowed)
    reachable = {}
    for name in direct:
        seen, todo = set(), [name]
        while todo:
            layer = todo.pop()
            if layer not in seen:
                seen.add(layer)
                todo.extend(direct.get(layer, ()))
        reachable[name] = seen
    return folders, reachable


def layer_of(path, folders):
    """The layer with the longest folder above path, or None."""
    inside = [folder for folder in folders if path.startswith(folder + "/")]
    return folders[max(inside, key=len)] if inside else None


def sources(root):
    for top in TOP_FOLDERS:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def includes(path):
    """Yields (line number, '<' or '"', target) for every include of a file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, *match.groups()


def heavy_headers(root, paths):
    """The headers that include a confined third-party header, however indirectly."""
    targets = {path.relative_to(root).as_posix(): [target for _, _, target in includes(path)]
               for path in paths if path.suffix == ".h"}
    heavy = set()
    while True:
        found = {name for name, named in targets.items() if name not in heavy and
                 any(target in heavy or target.startswith(CONFINED) for target in named)}
        if not found:
            return heavy
        heavy |= found


def check_file(root, path, folders, reachable, heavy):
    """Yields one line per forbidden include of one file."""
    name = path.relative_to(root).as_posix()
    layer = layer_of(name, folders)
    for number, bracket, target in includes(path):
        where = f"{name}:{number}: "
        if bracket == "<":
            continue
        if not target.endswith("_generated.h") and not (root / target).is_file():
            yield where + f'"{target}" is not a path from the source root'
            continue
        if target in heavy and pathlib.PurePath(target).parent != pathlib.PurePath(name).parent:
            yield where + f'"{target}" pulls in a heavy third-party header; it is private there'
        if layer is None:
            continue
        other = layer_of(target, folders)
        if other is None:
            yield where + f'layer {layer} includes "{target}", which is outside every layer'
        elif other not in reachable[layer]:
            yield where + f'layer {layer} may not include layer {other} ("{target}")'


def check(root, layers_text):
    folders, reachable = read_layers(layers_text)
    paths = list(sources(root))
    heavy = heavy_headers(root, paths)
    violations = []
    for path in paths:
        violations.extend(check_file(root, path, folders, reachable, heavy))
    return violations, len(paths)


def main():
    root, layers = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    violations, count = check(root, layers.read_text(encoding="utf-8"))
    print("\n".join(violations + [f"{count} files, {len(violations)} violations"]))
    return 1 if violations or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
