"""The broker under test, and what the scenarios are told about it.

    AMQP_URL            amqp://guest:guest@127.0.0.1:PORT/%2f; AMQP_HOST and AMQP_PORT are its parts
    CUT_URL             the same through a proxy; CUT_PORT its port
    CUTTER_PORT         connect here on 127.0.0.1: at the end of the stream all connections through the proxy are cut
    INTEROP_AGAINST     warren, rabbitmq, or the URI that was given
    AMQPS_URL           amqps://guest:guest@localhost:PORT/%2f; AMQPS_PORT; and the files for it:
    TLS_CA, TLS_CERTIFICATE, TLS_KEY    the authority's certificate, a client's certificate and its key
    WS_URL              ws://127.0.0.1:PORT (Warren only)

AMQPS_URL and WS_URL are absent where there is no TLS or no WebSocket.
"""

import contextlib
import pathlib
import tempfile
import urllib.parse

import certificates
import rabbitmq
import warren
from failure import Failure
from proxy import Proxy


@contextlib.contextmanager
def surroundings(against, binary):
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interop-")))
        if against == "warren":
            certificates.make(folder)
            listening = stack.enter_context(warren.broker(folder, binary))
        elif against == "rabbitmq":
            certificates.make(folder)
            listening = stack.enter_context(rabbitmq.broker(folder))
        else:
            listening = {"amqp": address_of(against)}
        yield environment(against, listening, folder, stack)


def address_of(uri):
    parsed = urllib.parse.urlsplit(uri)
    if parsed.scheme != "amqp" or not parsed.hostname:
        raise Failure(f"--against {uri}: warren, rabbitmq, or a URI such as amqp://guest:guest@127.0.0.1:5672/%2f")
    return parsed.hostname, parsed.port or 5672


def environment(against, listening, folder, stack):
    host, port = listening["amqp"]
    login = "guest:guest"
    if "://" in against:
        parsed = urllib.parse.urlsplit(against)
        login = f"{parsed.username or 'guest'}:{parsed.password or 'guest'}"
    proxy = stack.enter_context(contextlib.closing(Proxy((host, port))))
    found = {
        "INTEROP_AGAINST": against,
        "AMQP_URL": f"amqp://{login}@{host}:{port}/%2f", "AMQP_HOST": host, "AMQP_PORT": str(port),
        "CUT_URL": f"amqp://{login}@127.0.0.1:{proxy.port}/%2f", "CUT_PORT": str(proxy.port),
        "CUTTER_PORT": str(proxy.cutter_port),
    }
    if "amqps" in listening:
        found |= {"AMQPS_URL": f"amqps://{login}@localhost:{listening['amqps'][1]}/%2f",
                  "AMQPS_PORT": str(listening["amqps"][1]), "TLS_CA": str(folder / "ca.pem"),
                  "TLS_CERTIFICATE": str(folder / "client.pem"), "TLS_KEY": str(folder / "client.key")}
    if "ws" in listening:
        found["WS_URL"] = "ws://{}:{}".format(*listening["ws"])
    return found
