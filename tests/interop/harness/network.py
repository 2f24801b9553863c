"""What scenarios in Python ask of their surroundings."""

import os
import socket


def cut():
    """Cuts every connection through the proxy, as a broken network would; returns when that is done."""
    with socket.create_connection(("127.0.0.1", int(os.environ["CUTTER_PORT"]))) as cutter:
        assert cutter.recv(1) == b""
