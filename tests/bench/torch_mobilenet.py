"""One training step of MobileNetV2 at 224 x 224, eight pictures: inkling beside PyTorch, in turn.

Usage: torch_mobilenet.py INKLING [PAIRS] [THREADS] [all|head] [MEMORY]
Wants Debian's python3-torch, python3-torchvision and a tuned BLAS (libopenblas0-pthread, OPENBLAS_CORETYPE
where it does not know the CPU). Both start from the same network, exported by torchvision with seed 0;
its batch norms keep their statistics. Everything is trained (all), or a linear layer on frozen features (head), by
SGD with momentum. inkling's figure is that of `inkling train --explain`; PyTorch's is the faster of its two
layouts, its frozen features are a frozen TorchScript. Peak memory is of the whole process; MEMORY is a budget for
inkling's, in MB. For a head, a step on features computed once is timed, too. Exits with 1 when a wanted ratio is missed.
"""
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BATCH, CLASSES, STEPS = 8, 3, 4
WANTED_SPEED, WANTED_MEMORY = {"all": 1.9, "head": 1.4}, 0.6
WANTED_CACHED = 20  # times as fast as the step that computes the features
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")


def network():
    import torch
    import torchvision
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v2(weights=None)
    draws = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=draws)
            module.running_var.uniform_(0.5, 1.5, generator=draws)
    return model.eval()


def export(path):
    import torch
    torch.onnx.export(network(), torch.zeros(1, 3, 224, 224), str(path), opset_version=13,
                      input_names=["input"], output_names=["output"], dynamic_axes={"input": {0: "n"}})


def write_pictures(folder):
    import numpy
    from PIL import Image
    pixels = numpy.frombuffer(gzip.open(DATA / "train-images-idx3-ubyte.gz").read(), numpy.uint8, offset=16)
    labels = numpy.frombuffer(gzip.open(DATA / "train-labels-idx1-ubyte.gz").read(), numpy.uint8, offset=8)
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
        for i in numpy.flatnonzero(labels == label)[:BATCH]:
            picture = Image.fromarray(pixels.reshape(-1, 28, 28)[i]).convert("RGB")
            picture.resize((224, 224)).save(folder / str(label) / f"{i}.png")


def frozen_features(model, pictures):
    import torch
    features = torch.nn.Sequential(model.features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    with torch.no_grad():
        return torch.jit.freeze(torch.jit.trace(features, pictures))


def torch_step(threads, part):
    """Runs in a process of its own, for its peak memory: prints the milliseconds of a step."""
    import torch
    torch.set_num_threads(threads)
    best = None
    for layout in (torch.contiguous_format, torch.channels_last):
        model = network()
        model.classifier[1] = torch.nn.Linear(model.last_channel, CLASSES)
        model = model.to(memory_format=layout)
        pictures = torch.randn(BATCH, 3, 224, 224).to(memory_format=layout)
        if part == "head":
            features, head = frozen_features(model, pictures), model.classifier[1]
            model = lambda x: head(features(x).detach())
        trained = head if part == "head" else model
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.001, momentum=0.9)
        labels = torch.arange(BATCH) % CLASSES
        times = []
        for _ in range(STEPS + 1):
            start = time.process_time() if threads == 1 else time.monotonic()
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(model(pictures), labels).backward()
            optimizer.step()
            times.append((time.process_time() if threads == 1 else time.monotonic()) - start)
        median = statistics.median(times[1:])
        best = median if best is None else min(best, median)
    print(best * 1000)


def run(command):
    """Output, and the peak memory of the process in MB."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
    if status != 0:
        raise SystemExit(f"{command[0]} failed")
    return out, usage.ru_maxrss * 1024 / 1e6


def main():
    if sys.argv[1] == "--torch":
        torch_step(int(sys.argv[2]), sys.argv[3])
        return 0
    program = sys.argv[1]
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    threads = sys.argv[3] if len(sys.argv) > 3 else "1"
    part = sys.argv[4] if len(sys.argv) > 4 else "all"
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        subprocess.run([sys.executable, __file__, "--export", str(at / "net.onnx"), str(at / "pictures")],
                       check=True)
        # Pictures that are varied at each step cannot have their features computed once.
        command = [program, "train", "--base", at / "net.onnx", "--data", at / "pictures", "--train", part,
                   "--batch", str(BATCH), "--optimizer", "sgd", "--threads", threads, "--json"]
        if len(sys.argv) > 5:
            command += ["--memory", sys.argv[5]]
        varied = [*command, "--flip"] if part == "head" else command
        ratios, memory, cached = [], [], []
        for _ in range(pairs):
            theirs, their_peak = run([sys.executable, __file__, "--torch", threads, part])
            step = json.loads(run([*varied, "--explain"])[0])["step_ms"]
            _, our_peak = run([*varied, "--epochs", "1", "--out", at / "run", "--force"])
            ratios.append(float(theirs) / step)
            memory.append(our_peak / their_peak)
            print(f"PyTorch {float(theirs):.0f} ms, {their_peak:.0f} MB; inkling {step:.0f} ms, {our_peak:.0f} MB; "
                  f"{ratios[-1]:.2f} times as fast in {memory[-1]:.2f} of the memory", flush=True)
            if part == "head":
                cached.append(step / json.loads(run([*command, "--explain"])[0])["step_ms"])
    speed, share, wanted = statistics.median(ratios), statistics.median(memory), WANTED_SPEED[part]
    print(f"medians: {speed:.2f} times as fast (wanted {wanted}), {share:.2f} of the memory (wanted {WANTED_MEMORY})")
    if cached:
        print(f"from cached features: {statistics.median(cached):.0f} times as fast again (wanted {WANTED_CACHED})")
    return 0 if speed >= wanted and share <= WANTED_MEMORY and min(cached, default=WANTED_CACHED) >= WANTED_CACHED else 1


if __name__ == "__main__":
    if sys.argv[1] == "--export":
        export(pathlib.Path(sys.argv[2]))
        write_pictures(pathlib.Path(sys.argv[3]))
    else:
        sys.exit(main())
