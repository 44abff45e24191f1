"""Run as a script of its own: takes a port and keeps it, until it is ended or its time is up.

``python _port_holder.py HOST PORT SECONDS``. Prints ``held`` when it listens. Whoever connects is
reset at once, as by a program that speaks another protocol; nobody hangs on it. Imports nothing of
vqchaos, so that it starts in an instant.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time


def main() -> int:
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    end = time.monotonic() + seconds
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # Without it, connections that the server closed would keep the port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            print(error.strerror, flush=True)
            return 1
        print("held", flush=True)
        while (left := end - time.monotonic()) > 0:
            if select.select([listener], [], [], min(left, 60.0))[0]:
                connection, _ = listener.accept()
                reset = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
