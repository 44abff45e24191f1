"""Stands in for toxiproxy-server: answers -version, else forwards what its -config says."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from pathlib import Path


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def serve(listen: str, upstream: str) -> None:
    host, port = listen.split(":")
    server = socket.create_server((host, int(port)))
    while True:
        client, _ = server.accept()
        to_host, to_port = upstream.split(":")
        try:
            behind = socket.create_connection((to_host, int(to_port)))
        except OSError:
            client.close()
            continue
        for pair in ((client, behind), (behind, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def main() -> None:
    if "-version" in sys.argv:
        sys.stdout.write("toxiproxy-server version 2.12.0\n")
        return
    config = Path(sys.argv[sys.argv.index("-config") + 1])
    [proxy] = json.loads(config.read_text())
    serve(proxy["listen"], proxy["upstream"])


if __name__ == "__main__":
    main()
