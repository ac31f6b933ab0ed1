"""LeNet in a simulated federation: inkling simulate beside a plain PyTorch loop, in turn.

Usage: torch_lenet.py INKLING [PAIRS]
Wants Debian's python3-torch and a tuned BLAS (libopenblas0-pthread; update-alternatives chooses it).
Both train LeNet (6 and 16 maps of 5x5, 120, 84, 10) on one thread: clients with 60 pictures of 28x28,
batches of 10, one epoch of SGD, the mean of the updates after each round of ten. Clients a second of
CPU time, so that a busy machine does not decide: of PyTorch's loop, and of what a longer run of inkling
takes beyond a short one.
Exits with 1 when the median ratio is below 3.
"""
import gzip
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from torch import nn

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
EXPERIMENT = pathlib.Path(__file__).resolve().parents[2] / "examples" / "lenet.toml"
CLIENTS, PICTURES, BATCH, COHORT, RATE = 1000, 60, 10, 10, 0.01
SHORT_ROUNDS, INKLING_ROUNDS, TORCH_ROUNDS = 2, 60, 20
WANTED = 3.0


def read_idx(name, offset):
    return numpy.frombuffer(gzip.open(DATA / name).read(), numpy.uint8, offset=offset)


def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def torch_rate(pictures, labels):
    """Clients a second of CPU time."""
    model, loss = lenet(), nn.CrossEntropyLoss()
    parameters = list(model.parameters())
    state = [p.detach().clone() for p in parameters]
    draws = numpy.random.default_rng(1)
    start = time.process_time()
    for _ in range(TORCH_ROUNDS):
        total = [torch.zeros_like(p) for p in state]
        for client in draws.choice(CLIENTS, COHORT, replace=False):
            with torch.no_grad():
                for p, s in zip(parameters, state):
                    p.copy_(s)
            optimizer = torch.optim.SGD(parameters, lr=RATE)
            order = torch.from_numpy(client * PICTURES + draws.permutation(PICTURES))
            for rows in order.split(BATCH):
                optimizer.zero_grad(set_to_none=True)
                loss(model(pictures[rows]), labels[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                for t, p, s in zip(total, parameters, state):
                    t += p - s
        state = [s + t / COHORT for s, t in zip(state, total)]
    return TORCH_ROUNDS * COHORT / (time.process_time() - start)


def inkling_run(program, rounds):
    """Seconds of CPU time, and the run's summary."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program, "simulate", EXPERIMENT, "--out", folder, "--set", f"rounds={rounds}"],
                       check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.loads((pathlib.Path(folder) / "summary.json").read_text(encoding="utf-8"))
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, summary


def inkling_rate(program):
    """Clients a second of CPU time, and the longer run's summary."""
    short, _ = inkling_run(program, SHORT_ROUNDS)
    whole, summary = inkling_run(program, SHORT_ROUNDS + INKLING_ROUNDS)
    return INKLING_ROUNDS * COHORT / (whole - short), summary


def main():
    program, pairs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(1)
    torch.manual_seed(1)
    pictures = torch.from_numpy(read_idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28).astype(numpy.float32))
    pictures = (pictures - 72.94) / 90.02
    labels = torch.from_numpy(read_idx("train-labels-idx1-ubyte.gz", 8).astype(numpy.int64))
    torch_rate(pictures, labels)  # warm
    ratios = []
    for _ in range(pairs):
        theirs = torch_rate(pictures, labels)
        ours, summary = inkling_rate(program)
        ratios.append(ours / theirs)
        print(f"PyTorch {torch.__version__}: {theirs:.0f} clients a CPU second; inkling: {ours:.0f} "
              f"({summary['clients_per_second']:.0f} by wall clock); "
              f"ratio {ratios[-1]:.2f}", flush=True)
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f}, wanted {WANTED}")
    return 0 if median >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
