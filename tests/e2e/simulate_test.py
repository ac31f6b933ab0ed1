"""inkling simulate: the model does not depend on who trained whom, and a killed run goes on.

Usage: simulate_test.py INKLING MPIRUN    (MPIRUN is empty in a build without MPI)
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

EXPERIMENT = pathlib.Path(__file__).resolve().parents[2] / "examples" / "logistic.toml"


class Runs:
    def __init__(self, inkling, mpirun, folder):
        self.inkling, self.mpirun, self.folder, self.count = inkling, mpirun, folder, 0

    def command(self, out, ranks, *settings):
        launch = [self.mpirun, "--allow-run-as-root", "--oversubscribe", "-np", str(ranks)] if ranks > 1 else []
        words = [word for setting in ("evaluate_every=0", *settings) for word in ("--set", setting)]
        return [*launch, self.inkling, "simulate", EXPERIMENT, "--out", out, *words]

    def new_folder(self):
        self.count += 1
        return self.folder / f"run{self.count}"

    def model(self, ranks, *settings):
        """The SHA-256 of the model that the run ends with."""
        out = self.new_folder()
        subprocess.run(self.command(out, ranks, *settings), check=True, stdout=subprocess.DEVNULL)
        return json.loads((out / "summary.json").read_text(encoding="utf-8"))["model_sha256"]


def check_equal_models(runs, rank_counts):
    short = ("rounds=4", "data.clients=200")
    wanted = runs.model(1, *short)
    for masked in ("false", "true"):
        for threads in (1, 2, 4):
            assert runs.model(1, *short, f"threads={threads}", f"aggregation.masked={masked}") == wanted, threads
        for ranks in rank_counts:
            settings = (*short, f"aggregation.masked={masked}", "aggregation.group=5")
            assert runs.model(ranks, *settings) == runs.model(1, *settings), (ranks, masked)
    assert runs.model(1, *short, "seed=2") != wanted


def kill_one(launched, ranks):
    """kill -9 of the run, or of one rank of it."""
    victim = launched.pid
    if ranks > 1:
        children = pathlib.Path(f"/proc/{launched.pid}/task/{launched.pid}/children").read_text(encoding="ascii")
        victim = int(children.split()[-1])
    os.kill(victim, signal.SIGKILL)


def check_resume(runs, ranks):
    settings = ("rounds=400", "checkpoint_every=10")
    wanted = runs.model(1, *settings)
    out = runs.new_folder()
    command = runs.command(out, ranks, *settings)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as launched:
        deadline = time.monotonic() + 120
        while not (out / "checkpoint.bin").exists():
            assert launched.poll() is None and time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.005)
        kill_one(launched, ranks)
        assert launched.wait(timeout=60) != 0, f"{ranks} ranks: the run went on without the one that was killed"
    assert not (out / "summary.json").exists()
    subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["model_sha256"] == wanted, f"{ranks} ranks: resumed to another model"
    rounds = [json.loads(line)["round"] for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rounds == list(range(1, 401)), "metrics.jsonl has each round once"


def check_budget(runs):
    """A round beyond the budget is refused in one line, and what was played before it stays."""
    out = runs.new_folder()
    privacy = ("rounds=400", "privacy.noise=central", "privacy.noise_multiplier=1", "privacy.epsilon=0.7")
    ended = subprocess.run(runs.command(out, 1, *privacy), check=False, capture_output=True, text=True)
    assert ended.returncode != 0
    lines = ended.stderr.strip().splitlines()
    played = len((out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert len(lines) == 1 and f"round {played + 1} would exceed epsilon 0.7" in lines[0], ended.stderr
    assert 0 < played < 400 and not (out / "summary.json").exists()


def check_sweep(runs):
    """Runs side by side are those that run alone, and the report has a curve over the setting."""
    short = ("rounds=4", "data.clients=200")
    out = runs.new_folder()
    command = [*runs.command(out, 1, *short), "--sweep", "local.rate=0.01,0.02,0.04", "--sweep", "seed=1,2", "--jobs", "3"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for rate in ("0.01", "0.02", "0.04"):
        for seed in ("1", "2"):
            summary = json.loads((out / f"rate={rate},seed={seed}" / "summary.json").read_text(encoding="utf-8"))
            assert summary["model_sha256"] == runs.model(1, *short, f"local.rate={rate}", f"seed={seed}"), (rate, seed)
    assert "Accuracy by local.rate" in (out / "report.html").read_text(encoding="utf-8")


def main():
    inkling, mpirun = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(inkling, mpirun, pathlib.Path(folder))
        check_equal_models(runs, (2, 4) if mpirun else ())
        check_budget(runs)
        check_sweep(runs)
        for ranks in (1, 2) if mpirun else (1,):
            check_resume(runs, ranks)
    print(f"models equal on 1, 2 and 4 threads{' and ranks' if mpirun else ''}; a killed run resumed to the same model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
