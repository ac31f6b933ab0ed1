"""The gradients of whole networks beside PyTorch's: LeNet, MobileNetV2, a transformer encoder of two layers,
an LSTM, and a network like EdgeRec (GRUs over pages and behaviour, attention of each candidate).

Usage: torch_gradients.py ONNX_GRADIENTS
Wants Debian's python3-torch, python3-torchvision and python3-onnx. Each network is exported to ONNX with its
parameters as inputs; the loss is the sum of its output times a fixed tensor. Exits with 1 unless every gradient
differs by less than 1e-4 of the largest number in it.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import torchvision
from torch import nn

LIMIT = 1e-4


class LeNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                         nn.Linear(84, 10))


class Attention(nn.Module):
    """Multi-head self-attention and a feed-forward net, each with a residual and a layer norm behind it."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (part.reshape(n, t, self.heads, width // self.heads).transpose(1, 2)
                   for part in self.project(x).split(width, dim=2))
        scores = torch.softmax(q @ k.transpose(2, 3) / (width // self.heads) ** 0.5, dim=3)
        x = self.first(x + self.out((scores @ v).transpose(1, 2).reshape(n, t, width)))
        return self.second(x + self.down(nn.functional.gelu(self.up(x))))


class Transformer(nn.Sequential):
    def __init__(self):
        super().__init__(Attention(32, 4), Attention(32, 4), nn.Linear(32, 8))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(12, 24, batch_first=True), nn.Linear(24, 5)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class EdgeRec(nn.Module):
    def __init__(self):
        super().__init__()
        self.page, self.behaviour = nn.GRU(16, 16, batch_first=True), nn.GRU(16, 16, batch_first=True)
        self.candidate, self.query = nn.GRU(16, 16, batch_first=True), nn.Linear(16, 16)
        self.score = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, candidates, pages, behaviour):
        mine = self.candidate(candidates)[0]

        def attend(states):
            return torch.softmax(self.query(mine) @ states.transpose(1, 2), dim=2) @ states
        return self.score(torch.cat([mine, attend(self.page(pages)[0]), attend(self.behaviour(behaviour)[0])], 2))


def networks():
    torch.manual_seed(1)
    mobilenet = torchvision.models.mobilenet_v2(weights=None)
    for module in mobilenet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    yield "LeNet", LeNet(), (torch.randn(4, 1, 28, 28),)
    yield "MobileNetV2", mobilenet, (torch.randn(2, 3, 96, 96),)
    yield "transformer", Transformer(), (torch.randn(3, 10, 32),)
    yield "LSTM", Lstm(), (torch.randn(4, 9, 12),)
    yield "EdgeRec", EdgeRec(), (torch.randn(1, 20, 16), torch.randn(1, 30, 16), torch.randn(1, 12, 16))


def save(path, tensor):
    numpy.save(path, numpy.ascontiguousarray(tensor.detach().numpy()))


def worst_difference(program, network, inputs, folder):
    network.eval()
    with torch.no_grad():  # the exporter makes one input of parameters that are equal
        for parameter in network.parameters():
            parameter += 0.01 * torch.randn(parameter.shape)
    names = [f"x{i}" for i in range(len(inputs))]
    path = folder / "net.onnx"
    torch.onnx.export(network, inputs, str(path), opset_version=13, input_names=names, output_names=["y"],
                      export_params=False, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE)
    inputs = [x.requires_grad_() for x in inputs]
    y = network(*inputs)
    weight = torch.randn(y.shape)
    (y * weight).sum().backward()

    (folder / "in").mkdir()
    parameters = dict(zip(names, inputs)) | dict(network.named_parameters())
    wanted = subprocess.run([sys.executable, "-c", f"import onnx; print(*[i.name for i in onnx.load('{path}').graph.input])"],
                            check=True, capture_output=True, text=True).stdout.split()
    values = parameters | dict(network.named_buffers())
    for name in wanted:
        save(folder / "in" / f"{name}.npy", values[name])
    save(folder / "weight.npy", weight)
    subprocess.run([program, path, folder], check=True)
    worst = 0.0
    compared = 0
    for name in wanted:
        if name not in parameters:
            continue
        ours, theirs = numpy.load(folder / "gradient" / f"{name}.npy"), parameters[name].grad.numpy()
        worst = max(worst, float(abs(ours - theirs).max() / max(abs(theirs).max(), 1e-6)))
        compared += 1
    return worst, compared


def main():
    failed = False
    for name, network, inputs in networks():
        with tempfile.TemporaryDirectory() as folder:
            worst, compared = worst_difference(sys.argv[1], network, inputs, pathlib.Path(folder))
        failed = failed or not worst < LIMIT or compared < len(list(network.parameters()))
        print(f"{name}: {compared} gradients, the worst differs by {worst:.1e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
