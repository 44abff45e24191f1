"""A dockerd of the test's own beside the machine's: its own socket, data and containers. It needs
root, as any."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker import APIClient

from tests.live.compose_like import make_image

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "docker" / "daemon.sh"
# In a network namespace of its own: a second dockerd with `--bridge none` takes the machine's
# docker0 away.
ALONE = ("unshare", "--net")
ARGUMENTS = "--bridge none --iptables=false"


class PrivateDaemon:
    """``folder`` must have a short name: sockets lie in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"

    def start(self, *, live_restore: bool) -> None:
        """It answers when this returns; with ``live_restore`` its containers outlive it."""
        more = " --live-restore" if live_restore else ""
        self._script("start", "--data-root", str(self._folder / "data"), arguments=ARGUMENTS + more)

    def stop(self) -> None:
        self._script("stop")

    def api(self) -> Any:
        return APIClient(base_url=self.host, timeout=60)

    def remove(self) -> None:
        """With all that it holds."""
        self.start(live_restore=False)
        api = self.api()
        for container in api.containers(all=True):
            api.remove_container(container["Id"], force=True)
        api.close()
        self.stop()

    def _script(self, *words: str, arguments: str = "") -> None:
        done = subprocess.run(
            [*ALONE, str(SCRIPT), *words, "--work", str(self._folder)],
            env={**os.environ, "DOCKER_HOST": self.host, "DOCKERD_ARGS": arguments},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"a daemon of the test's own: {done.stderr}")


@contextmanager
def private_daemon() -> Iterator[PrivateDaemon]:
    folder = Path(tempfile.mkdtemp(prefix="vqd-", dir="/tmp"))
    daemon = PrivateDaemon(folder)
    daemon.start(live_restore=False)
    try:
        api = daemon.api()
        make_image(api)
        api.close()
        yield daemon
    finally:
        daemon.remove()
        # Docker leaves its data mounted on itself, unless nothing was to be kept private.
        subprocess.run(["umount", str(folder / "data")], capture_output=True, check=False)
        shutil.rmtree(folder)
