"""Warren's broker, on ports and in a folder of its own."""

import contextlib
import json
import pathlib
import subprocess
import sys
import threading

from failure import Failure

# Seconds until it has to listen.
PATIENCE_S = 60
PROTOCOLS = {"amqp", "amqps", "ws"}
CONFIG = """\
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
listen_ws = ["127.0.0.1:0"]
[tls]
certificates = ["{folder}/server.pem"]
keys = ["{folder}/server.key"]
client_ca = "{folder}/ca.pem"
"""


@contextlib.contextmanager
def broker(folder, binary):
    """Runs it; yields its addresses by protocol."""
    binary = pathlib.Path(binary).absolute() if binary else build()
    config = folder / "broker.toml"
    config.write_text(CONFIG.format(folder=folder))
    command = [binary, "--config", config, "--data-dir", folder / "data"]
    log = folder / "broker.log"
    with open(log, "w", encoding="utf-8") as errors, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        # Whatever happens, reading its output ends.
        patience = threading.Timer(PATIENCE_S, process.kill)
        patience.start()
        listening = {}
        try:
            for line in process.stdout:
                if line.startswith("listening on "):
                    protocol, address = line.removeprefix("listening on ").strip().split("://")
                    host, _, port = address.rpartition(":")
                    listening[protocol] = (host, int(port))
                if listening.keys() == PROTOCOLS:
                    break
            patience.cancel()
            if listening.keys() != PROTOCOLS:
                raise Failure(f"{binary} did not start:\n{log.read_text()}")
            yield listening
            if process.poll() is not None:
                raise Failure(f"the broker ended with status {process.returncode}:\n{log.read_text()}")
        except BaseException:
            print("".join(log.read_text().splitlines(keepends=True)[-100:]), file=sys.stderr)
            raise
        finally:
            patience.cancel()
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Failure("the broker does not end on SIGTERM") from None


def build():
    """The broker's binary as cargo names it."""
    root = pathlib.Path(__file__).resolve().parents[3]
    command = ["cargo", "build", "-p", "broker", "--bins", "--locked", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise Failure("cargo build -p broker failed")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "broker":
            return pathlib.Path(message["executable"])
    raise Failure("cargo built no binary `broker`")
