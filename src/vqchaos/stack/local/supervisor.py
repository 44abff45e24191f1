"""supervisord: keeps the launcher and Toxiproxy alive, also when vqchaos is gone.

It runs daemonised in a session of its own and is asked over a Unix socket, never over the network.
Restarts are immediate and endless (``startsecs=0``): policy is the launcher's business.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from pathlib import Path
from typing import Any

import psutil

import vqchaos
from vqchaos.clock import Clock, wait_until
from vqchaos.errors import StackError
from vqchaos.stack.local.paths import Ports, StackPaths

PROXY_NAME = "vllm"
_STOP_WAIT = 40  # seconds; the launcher needs up to 15 and a little for its server
_KILLED = 10.0  # seconds for a killed program to run again
_CONFIG = """\
; written by vqchaos; `vqchaos down` removes it
[supervisord]
logfile={up}/supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile={up}/supervisord.pid
childlogdir={up}
directory={up}
identifier=vqchaos-{id}
umask=077
nodaemon=false
silent=true

[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[program:toxiproxy]
command={toxiproxy} -host 127.0.0.1 -port {proxy_api} -config {up}/toxiproxy.json
autorestart=true
startsecs=0
stopwaitsecs=5
redirect_stderr=true
stdout_logfile={up}/toxiproxy.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1

[program:launcher]
command={python} -m vqchaos.stack.local.launcher {up} {id}
environment=PYTHONPATH="{package}"
autorestart=true
startsecs=0
stopsignal=TERM
stopwaitsecs={stop_wait}
stopasgroup=false
killasgroup=false
redirect_stderr=true
stdout_logfile={up}/launcher.log
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=1
"""


class Supervisor:
    """The supervisord of one stack."""

    def __init__(self, paths: StackPaths, clock: Clock) -> None:
        self._paths = paths
        self._clock = clock

    def alive(self) -> bool:
        """Does it answer?"""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except StackError:
            return False

    def start(self, ports: Ports, toxiproxy: Path) -> None:
        """Write its files and start it, with the launcher and Toxiproxy.

        Raises StackError if it does not answer.
        """
        paths = self._paths
        proxy = {
            "name": PROXY_NAME,
            "listen": f"127.0.0.1:{ports.proxy}",
            "upstream": f"127.0.0.1:{ports.server}",
            "enabled": True,
        }
        # With -config, Toxiproxy has its proxy again after each of its own restarts.
        (paths.up / "toxiproxy.json").write_text(json.dumps([proxy]), encoding="utf-8")
        values = {
            "up": paths.up,
            "id": paths.id,
            "socket": paths.supervisor_socket,
            "toxiproxy": _quoted(toxiproxy),
            "proxy_api": ports.proxy_api,
            "python": _quoted(Path(sys.executable)),
            "package": Path(vqchaos.__file__).parent.parent,
            "stop_wait": _STOP_WAIT,
        }
        text = _CONFIG.format(**{k: str(v).replace("%", "%%") for k, v in values.items()})
        config = paths.up / "supervisord.conf"
        config.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        if done.returncode != 0 or not wait_until(self.alive, 20, self._clock):
            raise StackError(
                f"supervisord did not start: {(done.stdout + done.stderr).strip()[-500:]}",
                hint=f"see {paths.up}/supervisord.log",
            )

    def shutdown(self, timeout: float = _STOP_WAIT + 20.0) -> None:
        """Stop both programs and supervisord itself; nothing if it is not there."""
        process = self.process()
        with contextlib.suppress(StackError):
            self._call("shutdown")
        if process is not None:
            wait_until(lambda: not _running(process), timeout, self._clock)

    def process(self) -> psutil.Process | None:
        """The supervisord itself, by its PID file; None if that is not it."""
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            pid = int((self._paths.up / "supervisord.pid").read_text(encoding="ascii"))
            process = psutil.Process(pid)
            if f"{self._paths.up}/supervisord.conf" in process.cmdline():
                return process
        return None

    def pid_of(self, program: str) -> int | None:
        """The PID of ``toxiproxy`` or ``launcher``, while it runs."""
        try:
            facts = self._call("getProcessInfo", program)
        except StackError:
            return None
        return int(facts["pid"]) or None

    def kill(self, program: str) -> None:
        """SIGKILL; supervisord starts it again. Returns when another process runs. Raises
        StackError if none does."""
        pid = self.pid_of(program)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # supervisord has not reaped it, so it is that one
        if not wait_until(lambda: self.pid_of(program) not in (None, pid), _KILLED, self._clock):
            raise StackError(f"{program} did not come back", hint="vqchaos down, then up")

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(self._paths.supervisor_socket)
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1/RPC2", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
            raise StackError(
                f"the stack's supervisor does not answer: {error}", hint="vqchaos up"
            ) from error


def _running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _quoted(path: Path) -> str:
    """As supervisord splits commands: like a shell does."""
    text = str(path)
    return f'"{text}"' if any(c.isspace() or c in "'\\;" for c in text) else text


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(10)
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = (host, connection)  # what close() closes
        return connection
