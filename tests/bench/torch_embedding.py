"""Training steps of a recommender with a table of 100,000 x 64 of which a batch reads up to 1,100 rows: inkling, which
steps the rows, beside PyTorch with sparse=True and without.

Usage: torch_embedding.py EMBEDDING_STEPS [ITEMS] [WIDTH]
Wants Debian's python3-torch. One thread each, medians of the CPU time of a step. Exits with 1 when a step on the rows
takes longer than PyTorch's sparse one.
"""
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

BATCH, HISTORY = 100, 10


def torch_ms(make, sparse, items, width, steps):
    torch.manual_seed(1)
    table = nn.Embedding(items, width, sparse=sparse)
    projection = nn.Linear(width, width, bias=False)
    optimizers = make(table.parameters(), projection.parameters(), sparse)
    loss, times = nn.BCEWithLogitsLoss(), []
    for _ in range(steps):
        item, history = torch.randint(items, (BATCH,)), torch.randint(items, (BATCH, HISTORY))
        answer = torch.randint(2, (BATCH,)).float()
        start = time.process_time()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss((projection(table(history).mean(1)) * table(item)).sum(1), answer).backward()
        for optimizer in optimizers:
            optimizer.step()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1000


OPTIMIZERS = {
    "sgd": lambda table, rest, sparse: [torch.optim.SGD([*table, *rest], lr=0.01)],
    "adagrad": lambda table, rest, sparse: [torch.optim.Adagrad([*table, *rest], lr=0.01)],
    "adam": lambda table, rest, sparse: [(torch.optim.SparseAdam if sparse else torch.optim.Adam)(list(table), lr=0.01),
                                         torch.optim.Adam(rest, lr=0.01)],
}


def main():
    program, *sizes = sys.argv[1:]
    items, width = [int(size) for size in sizes] if sizes else (100_000, 64)
    torch.set_num_threads(1)
    ours = {}
    for line in subprocess.run([program, str(items), str(width)], check=True, stdout=subprocess.PIPE,
                               text=True).stdout.splitlines():
        name, part, ms, _, memory, _ = line.split()
        ours[name, part] = float(ms), int(memory)
    slower = False
    for name, make in OPTIMIZERS.items():
        for part, sparse, steps in (("rows", True, 51), ("whole", False, 11)):
            theirs, (ms, memory) = torch_ms(make, sparse, items, width, steps), ours[name, part]
            slower = slower or (sparse and ms > theirs)
            print(f"{name}, {part}: inkling {ms:.3f} ms in {memory} MB, PyTorch {theirs:.3f} ms")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
