"""Finds Toxiproxy's server, or brings it: PATH, cache, Go, the project's release.

The release's SHA-256 is pinned here, as several independent public users of the same files pin it.
From another base URL, a mirror's, the ``checksums.txt`` fetched beside the file decides: that finds
a damaged download, not a tampered release.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from vqchaos.errors import StackError
from vqchaos.stack.local.engine_env import Progress, locked
from vqchaos.stack.local.paths import cache_home

VERSION = "2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
RELEASES = "https://github.com/Shopify/toxiproxy/releases/download"
PINNED = {
    "toxiproxy-server-linux-amd64": (
        "556d891134a3c582dc1e1a3f7335fd55142e5965769855a00b944e13e48302fc"
    ),
    "toxiproxy-server-linux-arm64": (
        "53e770c1c3035b5a9f1bc629fce537db1f95f62b26f4ebe6e756afd701cf077c"
    ),
}
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_OLDEST = (2, 6)  # PATCH of a proxy came with it
_SIZE_LIMIT = 200 * 1024**2
_GO_TIMEOUT = 900.0
_WAY_OUT = (
    f"install Toxiproxy {VERSION} yourself and put `toxiproxy-server` on PATH; or install Go "
    f"and run the command again; or `go install {MODULE}`"
)


def find_toxiproxy(
    progress: Progress, *, cache: Path | None = None, releases: str = RELEASES
) -> Path:
    """The server's binary. ``releases`` is the base URL of the project's releases.

    Raises StackError, with what each way said, if none of them leads to it.
    """
    on_path = shutil.which("toxiproxy-server")
    if on_path is not None:
        version = version_of(Path(on_path))
        if version is not None and _new_enough(version):
            return Path(on_path)
        progress.step(f"{on_path} is {version or 'no Toxiproxy'}; getting {VERSION}")
    folder = (cache or cache_home()) / f"toxiproxy-{VERSION}"
    binary = folder / "toxiproxy-server"
    if binary.exists() and version_of(binary) is not None:
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), progress):
        if binary.exists() and version_of(binary) is not None:
            return binary
        failures = []
        for way in (_build, _download_release):
            try:
                way(binary, progress, releases)
            except StackError as error:
                failures.append(error.message)
            else:
                return binary
    raise StackError("Toxiproxy cannot be had: " + "; ".join(failures), hint=_WAY_OUT)


def version_of(binary: Path) -> str | None:
    """``2.12.0``, or ``git`` for one built with Go; None if it is no Toxiproxy that runs."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [binary, "-version"], capture_output=True, text=True, timeout=20, check=False
        )
        match = re.match(r"toxiproxy-server version (\S+)", done.stdout + done.stderr)
        return match[1] if match else None
    return None


def _new_enough(version: str) -> bool:
    if version == "git":  # built from source: it does not know
        return True
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= _OLDEST


def _build(binary: Path, progress: Progress, _releases: str) -> None:
    """``go install`` into a folder beside the cache's, then one rename."""
    go = shutil.which("go")
    if go is None:
        raise StackError("Go is not installed")
    progress.step(f"building Toxiproxy {VERSION} with Go, once")
    with tempfile.TemporaryDirectory(dir=binary.parent, prefix=".build-") as gobin:
        env = {**os.environ, "GOBIN": gobin, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        try:
            done = subprocess.run(
                [go, "install", MODULE],
                env=env,
                cwd=gobin,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_GO_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise StackError(f"go install: {error}") from error
        built = Path(gobin) / "server"
        if done.returncode != 0 or not built.exists():
            raise StackError(f"go install failed: {_last_words(done.stderr)}")
        if version_of(built) is None:
            raise StackError("go install made a program that does not run")
        built.replace(binary)


def _download_release(binary: Path, progress: Progress, releases: str) -> None:
    """The release's file, its checksum verified before anybody could run it."""
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    if platform.system() != "Linux" or architecture is None:
        raise StackError(f"no release for {platform.system()} on {platform.machine()}")
    name = f"toxiproxy-server-linux-{architecture}"
    base = f"{releases.rstrip('/')}/v{VERSION}"
    progress.step(f"downloading Toxiproxy {VERSION}, once")
    download(f"{base}/{name}", binary, _expected(base, name, releases))
    if version_of(binary) is None:
        binary.unlink(missing_ok=True)
        raise StackError(f"{base}/{name} is not a program that runs here")


def _expected(base: str, name: str, releases: str) -> str:
    """The pinned checksum; else, and for another base, what ``checksums.txt`` says."""
    if releases == RELEASES and name in PINNED:
        return PINNED[name]
    url = f"{base}/checksums.txt"
    for line in _fetch(url, 1024**2).decode("utf-8", "replace").splitlines():
        digest, _, file = line.strip().partition(" ")
        if file.strip().lstrip("*") == name and re.fullmatch(r"[0-9a-fA-F]{64}", digest):
            return digest.lower()
    raise StackError(f"{url} names no SHA-256 of {name}")


def download(url: str, target: Path, sha256: str) -> None:
    """Fetch, verify, then put it there in one step, executable. Raises StackError."""
    data = _fetch(url, _SIZE_LIMIT)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise StackError(
            f"{url}: the checksum is wrong (expected SHA-256 {sha256}, found {found}); "
            "nothing was installed"
        )
    fd, temporary = tempfile.mkstemp(dir=target.parent, prefix=".download-")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o755)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _fetch(url: str, limit: int) -> bytes:
    """The whole body, or StackError; a body that is cut short is an error."""
    import httpx  # noqa: PLC0415 (only an installation needs it)

    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=60) as answer:
            if answer.status_code != 200:
                raise StackError(f"{url} answered {answer.status_code}")
            parts, size = [], 0
            for part in answer.iter_raw():
                size += len(part)
                if size > limit:
                    raise StackError(f"{url} sends more than {limit} bytes")
                parts.append(part)
            return b"".join(parts)
    except httpx.HTTPError as error:
        raise StackError(f"{url}: {str(error) or type(error).__name__}") from error


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:500] or "without a word"
