"""Fashion-MNIST from scratch in inkling and in PyTorch: the same network, initial weights, order of the pictures,
schedule and optimizer.

Usage: torch_fashion.py INKLING [EPOCHS]
Wants Debian's python3-torch, python3-onnx, dataset-fashion-mnist and a tuned BLAS. One thread each. The network is
that of examples/fashion_mnist.toml, without augmentation. Exits with 1 when the test accuracies differ by more than
half a point or PyTorch needs less CPU time.
"""
import gzip
import json
import math
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import torch
from onnx import numpy_helper
from torch import nn



DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
LAYERS = "conv:32 pool conv:64 conv:64 pool conv:128 pool dense:128"
BATCH, RATE, DECAY, SMOOTHING, SEED = 64, 0.002, 0.01, 0.05, 1
MEAN, STD = 0.286, 0.353
WORD = (1 << 32) - 1


def shuffled(count, epoch):
    """The order of runtime/base/rng.h: Philox 4x32-10 under the name "shuffle", Fisher-Yates."""
    name = 2166136261
    for byte in b"shuffle":
        name = (name ^ byte) * 16777619 & WORD
    blocks = numpy.zeros((count + 8, 4), numpy.uint64)  # two 64-bit draws a block, and some to spare
    blocks[:, 0] = numpy.arange(count + 8)
    blocks[:, 2] = epoch
    key = [SEED & WORD, (SEED >> 32) ^ name]
    for _ in range(10):
        p0, p1 = blocks[:, 0] * numpy.uint64(0xD2511F53), blocks[:, 2] * numpy.uint64(0xCD9E8D57)
        blocks = numpy.stack([p1 >> numpy.uint64(32) ^ blocks[:, 1] ^ numpy.uint64(key[0]), p1 & numpy.uint64(WORD),
                              p0 >> numpy.uint64(32) ^ blocks[:, 3] ^ numpy.uint64(key[1]), p0 & numpy.uint64(WORD)], 1)
        key = [key[0] + 0x9E3779B9 & WORD, key[1] + 0xBB67AE85 & WORD]
    draws = iter((blocks[:, 0::2] | blocks[:, 1::2] << numpy.uint64(32)).reshape(-1).tolist())
    order = list(range(count))
    for i in range(count, 1, -1):
        draw = next(draws)
        while draw < (1 << 64) % i:
            draw = next(draws)
        j = draw % i
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def rate_at(step, steps):
    at = step / steps
    fall = lambda share: 0.5 * (1 + math.cos(math.pi * share))
    return RATE * (0.04 + 0.96 * fall(1 - at / 0.3) if at < 0.3 else fall((at - 0.3) / 0.7))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1)
                                          for i, o in ((1, 32), (32, 64), (64, 64), (64, 128)))
        self.dense, self.head = nn.Linear(1152, 128), nn.Linear(128, 10)

    def forward(self, x):
        a, b, c, d = self.convolutions
        pool = lambda y: nn.functional.max_pool2d(torch.relu(y), 2)
        x = pool(d(pool(c(torch.relu(b(pool(a(x))))))))
        return self.head(torch.relu(self.dense(x.permute(0, 2, 3, 1).flatten(1))))

    def take(self, model):
        """The weights of an exported model, by their shapes."""
        found = [numpy_helper.to_array(t) for t in model.graph.initializer]
        with torch.no_grad():
            for layer in [*self.convolutions, self.dense, self.head]:
                weight = layer.weight
                for array in found:
                    if array.ndim == weight.ndim and sorted(array.shape) == sorted(weight.shape):
                        if array.shape != tuple(weight.shape):
                            array = array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
                        weight.copy_(torch.from_numpy(array.copy()))
                        break
                else:
                    raise SystemExit(f"no initial weights of shape {tuple(weight.shape)}")
                layer.bias.zero_()


def read(name, offset):
    return numpy.frombuffer(gzip.open(DATA / name).read(), numpy.uint8, offset=offset)


def pictures(part):
    x = read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28).astype(numpy.float32)
    return torch.from_numpy((x / 255 - MEAN) / STD), torch.from_numpy(
        read(f"{part}-labels-idx1-ubyte.gz", 8).astype(numpy.int64))


def torch_run(model, epochs):
    """Test accuracy, and the CPU seconds of the training loop."""
    torch.set_num_threads(1)
    network = Network()
    network.take(model)
    x, labels = pictures("train")
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    per_epoch = len(labels) // BATCH
    start = time.process_time()
    for epoch in range(epochs):
        order = torch.tensor(shuffled(len(labels), epoch))
        for step in range(per_epoch):
            rows = order[step * BATCH:(step + 1) * BATCH]
            for group in optimizer.param_groups:
                group["lr"] = rate_at(epoch * per_epoch + step, per_epoch * epochs)
            optimizer.zero_grad(set_to_none=True)
            loss(network(x[rows]), labels[rows]).backward()
            optimizer.step()
    seconds = time.process_time() - start
    x, labels = pictures("t10k")
    with torch.no_grad():
        right = sum((network(x[i:i + 500]).argmax(1) == labels[i:i + 500]).sum().item() for i in range(0, 10000, 500))
    return right / 10000, seconds


def inkling(program, out, *options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([program, "train", "--data", DATA, "--layers", LAYERS, "--batch", str(BATCH), "--schedule",
                           "one-cycle", "--weight-decay", str(DECAY), "--label-smoothing", str(SMOOTHING), "--mean",
                           *[str(MEAN)] * 3, "--std", *[str(STD)] * 3, "--validation", "0", "--seed", str(SEED),
                           "--threads", "1", "--out", out, "--json", *options],
                          check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    program, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        # A rate of nearly nothing leaves the weights as they began.
        inkling(program, at / "start", "--epochs", "1", "--per-class", "7", "--rate", "1e-30")
        subprocess.run([program, "export", at / "start" / "model.ink", "--out", at / "start.onnx"], check=True,
                       stdout=subprocess.DEVNULL)
        theirs, their_seconds = torch_run(onnx.load(str(at / "start.onnx")), epochs)
        summary, our_seconds = inkling(program, at / "run", "--epochs", str(epochs), "--rate", str(RATE))
    ours = summary["test_accuracy"]
    print(f"PyTorch {torch.__version__}: test accuracy {theirs:.4f} in {their_seconds:.0f} s of CPU time; inkling: "
          f"{ours:.4f} in {our_seconds:.0f} s, with reading and testing")
    return 0 if abs(ours - theirs) <= 0.005 and our_seconds < their_seconds else 1


if __name__ == "__main__":
    sys.exit(main())
