"""Training steps of small networks on Fashion-MNIST: inkling beside PyTorch, in turn.

Usage: torch_steps.py INKLING [PAIRS] [THREADS]
Wants Debian's python3-torch, dataset-fashion-mnist and a tuned BLAS (libopenblas0-pthread, OPENBLAS_CORETYPE where it
does not know the CPU). An MLP of 784-256-128-10 with batches of 64, and LeNet (zeros around both convolutions) with
batches of 32, SGD with momentum. inkling's figure is that of `inkling train --explain`, with laying out the batch;
PyTorch's is the median of its steps, with taking the batch's rows. Exits with 1 when a wanted ratio is missed.
"""
import gzip
import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy
import torch
from torch import nn

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
                         nn.Linear(128, 10))


def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5, padding=2),
                         nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 120), nn.ReLU(), nn.Linear(120, 84),
                         nn.ReLU(), nn.Linear(84, 10))


NETWORKS = {"MLP": (mlp, "dense:256 dense:128", 64, 1.25),
            "LeNet": (lenet, "conv:6:5 pool conv:16:5 pool dense:120 dense:84", 32, 1.3)}


def torch_ms(build, batch, pictures, labels):
    model, loss = build(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    times = []
    begin = time.monotonic()
    while len(times) < 20 or time.monotonic() - begin < 1:
        start = time.monotonic()
        rows = torch.arange(batch) + batch * len(times) % 1000
        optimizer.zero_grad(set_to_none=True)
        loss(model(pictures[rows]), labels[rows]).backward()
        optimizer.step()
        times.append(time.monotonic() - start)
    return statistics.median(times) * 1000


def inkling_ms(program, layers, batch, threads):
    done = subprocess.run([program, "train", "--data", DATA, "--layers", layers, "--batch", str(batch), "--per-class",
                           "200", "--optimizer", "sgd", "--threads", threads, "--explain", "--json"],
                          check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["step_ms"]


def main():
    program, pairs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    threads = sys.argv[3] if len(sys.argv) > 3 else "1"
    torch.set_num_threads(int(threads))
    pixels = numpy.frombuffer(gzip.open(DATA / "train-images-idx3-ubyte.gz").read(), numpy.uint8, offset=16)
    pictures = torch.from_numpy(pixels.reshape(-1, 1, 28, 28)[:2000].astype(numpy.float32) / 255)
    labels = torch.from_numpy(numpy.frombuffer(gzip.open(DATA / "train-labels-idx1-ubyte.gz").read(), numpy.uint8,
                                               offset=8)[:2000].astype(numpy.int64))
    missed = False
    for name, (build, layers, batch, wanted) in NETWORKS.items():
        ratios = []
        for _ in range(pairs):
            theirs = torch_ms(build, batch, pictures, labels)
            ours = inkling_ms(program, layers, batch, threads)
            ratios.append(theirs / ours)
            print(f"{name}: PyTorch {theirs:.2f} ms, inkling {ours:.2f} ms, {ratios[-1]:.2f} times as fast", flush=True)
        print(f"{name}: median {statistics.median(ratios):.2f} (wanted {wanted})")
        missed = missed or statistics.median(ratios) < wanted
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
