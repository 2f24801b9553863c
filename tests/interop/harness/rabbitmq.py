"""Debian's rabbitmq-server, on free ports of loopback and in a folder of its own."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

from failure import Failure

SCRIPTS = pathlib.Path("/usr/lib/rabbitmq/bin")
# Seconds until it has to listen.
PATIENCE_S = 120


@contextlib.contextmanager
def broker(folder):
    if not SCRIPTS.exists():
        raise Failure("--against rabbitmq needs Debian's package: apt-get install rabbitmq-server")
    amqp, amqps, distribution, epmd = free_ports(4)
    home = folder / "rabbitmq"
    home.mkdir()
    (home / "rabbitmq.conf").write_text(f"""\
listeners.tcp.1 = 127.0.0.1:{amqp}
listeners.ssl.1 = 127.0.0.1:{amqps}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
loopback_users = none
""")
    (home / "env.conf").touch()
    (home / "plugins").write_text("[].\n")
    environment = {
        **os.environ, "HOME": str(home), "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"), "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"), "RABBITMQ_NODENAME": f"interop{amqp}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution), "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    # A port mapper of its own, so that it ends with the run.
    epmd_process = subprocess.Popen([shutil.which("epmd"), "-address", "127.0.0.1", "-port", str(epmd)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = home / "console"
    with open(log, "w", encoding="utf-8") as console:
        server = subprocess.Popen([SCRIPTS / "rabbitmq-server"], cwd=home, env=environment, start_new_session=True,
                                  stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
    try:
        await_port(server, amqps, log)
        yield {"amqp": ("127.0.0.1", amqp), "amqps": ("127.0.0.1", amqps)}
    finally:
        subprocess.run([SCRIPTS / "rabbitmqctl", "-q", "-n", environment["RABBITMQ_NODENAME"], "stop"],
                       env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
        epmd_process.terminate()
        epmd_process.wait()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def await_port(server, port, log):
    """TLS listeners open last."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.1)
    raise Failure(f"rabbitmq-server does not listen:\n{log.read_text()[-4000:]}")
