"""A server and its devices as an operator would set them up, in a folder of their own."""
import contextlib
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time

PATIENCE_S = 60  # for anything that takes a second on an idle machine


def wait_for(what, condition, patience_s=PATIENCE_S):
    """Polls until condition() is true, and returns what it gave."""
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {patience_s} s for: {what}")


class Deployment:
    """Keys, first model and device folders; processes are killed when it is closed."""

    def __init__(self, inkling, make_devices, folder, devices):
        self.inkling, self.folder = inkling, pathlib.Path(folder)
        self.keys, self.state = self.folder / "keys", self.folder / "state"
        self.server_identity = self.folder / "server.identity"
        self.model = self.folder / "first.ink"
        self.processes = []
        subprocess.run([make_devices, self.folder, str(devices)], check=True)
        self.devices = sorted((self.folder / "devices").iterdir())
        self.command("ca", "init", "--dir", self.keys, "--host", "127.0.0.1")
        self.command("ca", "issue", "--dir", self.keys, "--id", f"{0xff:032x}", "--server",
                     "--out", self.server_identity)
        for index, device in enumerate(self.devices):
            self.command("ca", "issue", "--dir", self.keys, "--id", self.device_id(index).hex(),
                         "--out", device / "identity")

    @staticmethod
    def device_id(index):
        return (index + 1).to_bytes(16, "little")

    def command(self, *arguments):
        subprocess.run([self.inkling, *map(str, arguments)], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self, name, arguments):
        with open(self.folder / f"{name}.out", "ab") as out, \
             open(self.folder / f"{name}.err", "ab") as err:
            process = subprocess.Popen([self.inkling, *map(str, arguments)], stdout=out,
                                       stderr=err, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def serve_arguments(self, port=0, **options):
        """Of `inkling serve`; options by their names, with _ for -."""
        options = {"state": self.state, "keys": self.keys, "identity": self.server_identity,
                   "model": self.model, "port": port} | options
        return ["serve"] + [text for name, value in options.items()
                            for text in ("--" + name.replace("_", "-"), value)]

    def join_arguments(self, index, **options):
        """Of `inkling join`; options by their names, with _ for -."""
        device = self.devices[index]
        options = {"tls_ca": self.keys / "tls-ca.pem",
                   "authority": self.keys / "identity.pub", "identity": device / "identity",
                   "device": device} | options
        return ["join"] + [text for name, value in options.items()
                           for text in ("--" + name.replace("_", "-"), value)]

    def start_server(self, port=0, **options):
        """(process, port), once it listens."""
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        server = self.start("server", self.serve_arguments(port, port_file=port_file, **options))

        def listening():
            if server.poll() is not None:
                raise AssertionError(f"the server ended with {server.returncode}:\n"
                                     + self.read("server.err"))
            return port_file.exists() and port_file.read_text(encoding="ascii")
        return server, int(wait_for("the server's port", listening))

    def read(self, name):
        return (self.folder / name).read_text(encoding="utf-8")

    def query(self, sql, database="state/rounds.sqlite"):
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / database}?mode=ro", uri=True,
                                                timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def journal_length(self):
        return self.query("SELECT COUNT(*) FROM journal")[0][0]

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def is_stopped(process):
    """By SIGSTOP."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
