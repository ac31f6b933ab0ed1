"""Writes the models that the peers are measured on: OUT/NAME/ holds model.onnx (opset 13), model.pt (TorchScript),
inputs.txt (a line an input: name, sizes), N.in and out: the inputs' numbers and what PyTorch makes of them, as f32;
and multiply_adds, those of its convolutions and linear layers.

Usage: export_models.py OUT [NAME...]
Wants Debian's python3-torch, python3-torchvision and python3-onnx. Weights are drawn with seed 0; batch norms get
statistics and scales that are not the trivial ones, so that folding them is not for nothing.
"""
import pathlib
import sys

import numpy
import torch
import torchvision
from torch import nn

GEMM = {"gemm_512": (512, 512, 512), "gemm_1024": (1024, 1024, 1024), "gemm_511": (511, 511, 511),
        "gemm_513": (513, 513, 513), "gemm_1023": (1023, 1023, 1023), "gemm_1025": (1025, 1025, 1025),
        "gemm_3136x144x24": (3136, 144, 24), "gemm_784x32x192": (784, 32, 192), "gemm_196x384x64": (196, 384, 64),
        "gemm_196x96x576": (196, 96, 576), "gemm_49x320x960": (49, 320, 960), "gemm_1x1000x1280": (1, 1000, 1280),
        "gemm_64x256x784": (64, 256, 784)}  # rows x columns of the result x inner size
PICTURE_NETWORKS = ["mobilenet_v2", "squeezenet1_1", "resnet18", "resnet50"]
EMBEDDING, PAST, CANDIDATES = 64, 50, 100  # of din
COLUMNS, STATE = 17, 16  # of edgerec: numbers of a row, and the width of an encoding


class Din(nn.Module):
    """Zhou et al., Deep Interest Network (KDD 2018): each candidate attends to the past by a small network over
    (past, candidate, difference, product); 80-40-1, then 200-80-1."""

    def __init__(self):
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(4 * EMBEDDING, 80), nn.ReLU(), nn.Linear(80, 40), nn.ReLU(),
                                       nn.Linear(40, 1))
        self.head = nn.Sequential(nn.Linear(2 * EMBEDDING, 200), nn.ReLU(), nn.Linear(200, 80), nn.ReLU(),
                                  nn.Linear(80, 1))

    def forward(self, candidates, past):
        asking = candidates.unsqueeze(1).expand(-1, PAST, -1)
        seen = past.unsqueeze(0).expand(CANDIDATES, -1, -1)
        weight = self.attention(torch.cat([seen, asking, seen - asking, seen * asking], dim=2))
        interest = (weight * seen).sum(dim=1)
        return self.head(torch.cat([candidates, interest], dim=1))


class EdgeRec(nn.Module):
    """The network of rerank/sequence_scorer.h (Gong et al., EdgeRec, CIKM 2020), in its sizes."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(COLUMNS, STATE)
        self.behaviour, self.list = nn.GRU(STATE, STATE), nn.GRU(STATE, STATE)
        for gru in (self.behaviour, self.list):  # ours adds nothing inside the reset gate
            nn.init.zeros_(gru.bias_hh_l0)
        self.query, self.key = nn.Linear(STATE, STATE, bias=False), nn.Linear(STATE, STATE, bias=False)
        self.attention = nn.Linear(STATE, 1, bias=False)
        self.nothing = nn.Parameter(torch.zeros(1, 1))
        self.hidden, self.head = nn.Linear(COLUMNS + 3 * STATE, 32), nn.Linear(COLUMNS + 32, 1, bias=False)

    def forward(self, features, past, present):
        item, seen = torch.tanh(self.encode(features)), torch.tanh(self.encode(past)) * present
        behaviour, offered = self.behaviour(seen.unsqueeze(1))[0][:, 0], self.list(item.unsqueeze(1))[0][:, 0]
        both = torch.tanh(self.query(offered).unsqueeze(1) + self.key(behaviour).unsqueeze(0))
        logits = self.attention(both).squeeze(2) + (present.squeeze(1) - 1) * 1e9
        weight = torch.softmax(torch.cat([logits, self.nothing.expand(CANDIDATES, 1)], dim=1), dim=1)
        interest = torch.matmul(weight[:, :PAST], behaviour + seen)
        hidden = torch.relu(self.hidden(torch.cat([features, offered, interest, offered * interest], dim=1)))
        return self.head(torch.cat([features, hidden], dim=1))


class Product(nn.Module):
    """Rows times a constant matrix, as a layer has it."""

    def __init__(self, columns, inner):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(inner, columns) / inner**0.5)

    def forward(self, rows):
        return torch.matmul(rows, self.matrix)


def picture_network(name):
    network = getattr(torchvision.models, name)(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network, {"input": (1, 3, 224, 224)}


def build(name):
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
                             nn.Linear(128, 10)), {"input": (1, 784)}
    if name == "din":
        return Din(), {"candidates": (CANDIDATES, EMBEDDING), "past": (PAST, EMBEDDING)}
    if name == "edgerec":
        return EdgeRec(), {"features": (CANDIDATES, COLUMNS), "past": (PAST, COLUMNS), "present": (PAST, 1)}
    if name in GEMM:
        m, n, k = GEMM[name]
        return Product(n, k), {"input": (m, k)}
    return picture_network(name)


def multiply_adds(network, values):
    """Of one run: convolutions, linear layers and products with a matrix; not recurrent layers."""
    counts = []

    def count(module, _, output):
        if isinstance(module, nn.Conv2d):
            counts.append(output.numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            counts.append(output.numel() * module.in_features)
        elif isinstance(module, Product):
            counts.append(output.numel() * module.matrix.shape[0])

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    network(*values)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def write_example(folder, inputs, values, output):
    (folder / "inputs.txt").write_text("".join(f"{name} {' '.join(map(str, size))}\n" for name, size in inputs.items()),
                                       encoding="utf-8")
    for i, value in enumerate(values):
        value.numpy().astype(numpy.float32).tofile(folder / f"{i}.in")
    output.numpy().astype(numpy.float32).tofile(folder / "out")


def export(folder, name):
    torch.manual_seed(0)
    network, inputs = build(name)
    network.eval()
    values = [torch.ones(*size) if key == "present" else torch.randn(*size) for key, size in inputs.items()]
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(network, tuple(values), str(folder / "model.onnx"), opset_version=13,
                          input_names=list(inputs), output_names=["output"])
        torch.jit.freeze(torch.jit.trace(network, tuple(values))).save(str(folder / "model.pt"))
        (folder / "multiply_adds").write_text(f"{multiply_adds(network, values)}\n", encoding="utf-8")
        write_example(folder, inputs, values, network(*values))


def main():
    out = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or [*PICTURE_NETWORKS, "mlp", "din", "edgerec", *GEMM]:
        export(out / name, name)


if __name__ == "__main__":
    main()
