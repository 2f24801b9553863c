"""A proxy in front of the broker that cuts all connections on demand, as a broken network would.

Whoever connects to `cutter` gets the end of the stream when every connection through the proxy has been cut.
"""

import socket
import struct
import threading


class Proxy:
    def __init__(self, to):
        self.to = to
        self.lock = threading.Lock()
        self.pairs = []
        self.listener = self.listen(self.pair)
        self.cutter = self.listen(self.cut)

    def listen(self, serve):
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, args=(listener, serve), daemon=True).start()
        return listener

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def cutter_port(self):
        return self.cutter.getsockname()[1]

    @staticmethod
    def accept(listener, serve):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            serve(client)

    def pair(self, client):
        try:
            broker = socket.create_connection(self.to)
        except OSError:
            client.close()
            return
        with self.lock:
            self.pairs.append((client, broker))
        for one, other in ((client, broker), (broker, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Cut, or gone by itself.

    def cut(self, asker):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for sockets in pairs:
            for end in sockets:
                # A reset: nothing is said, nothing is waited for.
                try:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # Closed before.
                end.close()
        asker.close()

    def close(self):
        for listener in (self.listener, self.cutter):
            # Ends accept.
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
