"""FedAvg in NumPy, written from McMahan et al. (AISTATS 2017) alone: what inkling simulate must agree with.

Usage: fedavg.py ALPHA ROUNDS SEED ...   prints the test accuracy for each seed, and the mean
The task of examples/fashion_dirichlet.toml: 100 clients, labels by Dirichlet(alpha), 20 clients a round,
784-64-10, one epoch of SGD at 0.05 in batches of 32, clients count alike.
"""
import gzip
import sys

import numpy as np

FOLDER = "/usr/share/datasets/fashion-mnist/"
CLIENTS, COHORT, HIDDEN, BATCH, RATE = 100, 20, 64, 32, 0.05


def read(name, offset):
    return np.frombuffer(gzip.open(FOLDER + name).read(), np.uint8, offset=offset)


def pictures(split):
    return ((read(f"{split}-images-idx3-ubyte.gz", 16).reshape(-1, 784) - 72.94) / 90.02).astype(np.float32)


def partition(labels, alpha, rng):
    clients = [[] for _ in range(CLIENTS)]
    for label in range(10):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = (np.cumsum(rng.dirichlet([alpha] * CLIENTS))[:-1] * len(members)).astype(int)
        for client, part in zip(clients, np.split(members, cuts)):
            client.extend(part)
    return [np.array(client, int) for client in clients]


def train(weights, x, y, rng):
    w1, b1, w2, b2 = (w.copy() for w in weights)
    order = rng.permutation(len(x))
    for rows in (order[i:i + BATCH] for i in range(0, len(x), BATCH)):
        hidden = np.maximum(x[rows] @ w1 + b1, 0)
        logits = hidden @ w2 + b2
        p = np.exp(logits - logits.max(1, keepdims=True))
        d = p / p.sum(1, keepdims=True)
        d[np.arange(len(rows)), y[rows]] -= 1
        d /= len(rows)
        d1 = (d @ w2.T) * (hidden > 0)
        w1 -= RATE * x[rows].T @ d1
        b1 -= RATE * d1.sum(0)
        w2 -= RATE * hidden.T @ d
        b2 -= RATE * d.sum(0)
    return w1, b1, w2, b2


def main():
    alpha, rounds = float(sys.argv[1]), int(sys.argv[2])
    x, y = pictures("train"), read("train-labels-idx1-ubyte.gz", 8)
    test_x, test_y = pictures("t10k"), read("t10k-labels-idx1-ubyte.gz", 8)
    found = []
    for seed in sys.argv[3:]:
        rng = np.random.default_rng(int(seed))
        clients = partition(y, alpha, rng)
        weights = [w.astype(np.float32) for w in (rng.normal(0, (2 / 784) ** 0.5, (784, HIDDEN)), np.zeros(HIDDEN),
                                                  rng.normal(0, (2 / HIDDEN) ** 0.5, (HIDDEN, 10)), np.zeros(10))]
        for _ in range(rounds):
            cohort = [clients[c] for c in rng.choice(CLIENTS, COHORT, replace=False) if len(clients[c])]
            trained = [train(weights, x[c], y[c], rng) for c in cohort]
            weights = [np.mean(layer, 0) for layer in zip(*trained)]
        logits = np.maximum(test_x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
        found.append((logits.argmax(1) == test_y).mean())
        print(f"seed {seed}: {found[-1]:.4f}", flush=True)
    print(f"mean {np.mean(found):.4f}")


if __name__ == "__main__":
    main()
