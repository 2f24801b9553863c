"""The clients, one folder each, and how their scenarios are judged."""

import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from failure import Failure

# What every client's scenarios begin their names with; a client that cannot have one says why in `without`.
STANDARD = (
    "connect", "declare", "direct", "fanout", "topic", "headers", "confirm", "return", "qos", "ack", "nack", "reject",
    "recover", "tx", "get", "rpc", "errors", "reconnect", "tls",
)
RESULT = re.compile(r"^\s*(?P<failed>not )?ok \d+ - (?P<name>.*?)(?P<directive> # (?i:skip|todo).*)?$")
# All scenarios of a client together; a client that hangs is ended.
PATIENCE_S = 240


def find(folder, names):
    """The clients of these names, or all."""
    found = {path.parent.name: Client(path.parent) for path in folder.glob("*/scenarios")}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise Failure(f"no client {', '.join(unknown)}; there are {', '.join(sorted(found))}")
    return [found[name] for name in sorted(names or found)]


def table(clients):
    """Which standard scenarios each client has, and why it has not the others, in Markdown. A run insists on it."""
    rows = [f"| client | {' | '.join(STANDARD)} |", f"|---|{'---|' * len(STANDARD)}"]
    rows += [f"| {client.name} | " + " | ".join("" if name in client.without() else "✓" for name in STANDARD) + " |"
             for client in clients]
    reasons = [f"- {client.name}, {name}: {reason}" for client in clients for name, reason in client.without().items()]
    return "\n".join([*rows, "", *reasons])


class Client:
    def __init__(self, folder):
        self.folder = folder
        self.name = folder.name
        target = os.environ.get("INTEROP_HOME") or folder.parents[2] / "target" / "interop"
        self.home = pathlib.Path(target).absolute() / self.name

    def lines(self, file):
        path = self.folder / file
        text = path.read_text() if path.exists() else ""
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def debian_packages(self):
        return self.lines("debian-packages")

    def without(self):
        """The standard scenarios that it cannot have, by name, with the reasons."""
        return dict(re.split(r":\s*", line, maxsplit=1) for line in self.lines("without"))

    def install(self):
        """Makes $CLIENT_HOME, unless it is there already and what it was made from is the same."""
        self.check_debian_packages()
        installer = self.folder / "install"
        if not installer.exists():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        stamp = self.home / "installed"
        # Two runs may want it at the same time.
        with open(self.home / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            wanted = self.digest()
            if stamp.exists() and stamp.read_text() == wanted:
                return
            for left in self.home.iterdir():
                if left.name != "lock":
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            environment = {**os.environ, "CLIENT_HOME": str(self.home), "HARNESS": str(self.folder.parent / "harness")}
            ran = subprocess.run([installer], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if ran.returncode != 0:
                raise Failure(f"cannot install {self.name}; its first run needs its package registry:\n{ran.stdout}")
            stamp.write_text(wanted)

    def digest(self):
        """Of everything that decides what is installed."""
        digest = hashlib.sha256(str(self.home).encode())
        for file in sorted(self.folder.iterdir()):
            if file.is_file() and (file.name in ("install", "requirements.txt") or file.name.startswith("package")):
                digest.update(file.read_bytes())
        return digest.hexdigest()

    def check_debian_packages(self):
        wanted = self.debian_packages()
        if not wanted:
            return
        if shutil.which("dpkg-query") is None:
            raise Failure(f"{self.name} comes from the Debian packages {' '.join(wanted)}: run it on Debian")
        ran = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *wanted],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        there = {line.split()[1] for line in ran.stdout.splitlines() if line.startswith("installed ")}
        missing = [package for package in wanted if package not in there]
        if missing:
            raise Failure(f"{self.name} needs Debian packages: apt-get install {' '.join(missing)}")

    def run(self, environment):
        """Runs the scenarios and shows what they print. False when anything is not as it should be."""
        print(f"== {self.name} against {environment['INTEROP_AGAINST']}", flush=True)
        environment = {**os.environ, **environment, "CLIENT_HOME": str(self.home),
                       "HARNESS": str(self.folder.parent / "harness")}
        command = ["timeout", "--kill-after=5", str(PATIENCE_S), self.folder / "scenarios"]
        with subprocess.Popen(command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            results = []
            for line in process.stdout:
                print(line, end="", flush=True)
                results += filter(None, [RESULT.match(line.rstrip("\n"))])
        complaints = self.complaints(results, process.returncode, environment)
        for complaint in complaints:
            print(f"!! {self.name}: {complaint}", flush=True)
        return not complaints

    def complaints(self, results, status, environment):
        found = []
        if status != 0:
            found.append(f"took longer than {PATIENCE_S} s" if status == 124 else f"ended with status {status}")
        found += [f"failed: {result['name']}" for result in results if result["failed"]]
        # Whoever skips quietly is not at home.
        found += [f"skipped: {result['name']}" for result in results if result["directive"]]
        ran = {result["name"].split(":")[0].split(" ")[0] for result in results}
        without = set(self.without())
        if "AMQPS_URL" not in environment:
            without.add("tls")
        found += [f"no scenario {name}, and `without` gives no reason" for name in STANDARD
                  if name not in ran | without]
        found += [f"`without` names {name}, and there is a scenario" for name in self.without() if name in ran]
        return found
