"""Model folders: a copy that shares what is not changed, and proof that the original is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from pathlib import Path

from vqchaos.errors import FaultError

_HASHED = 64 * 1024**2  # larger files are compared by size and time of change alone
_PERSONAL = 0o700
_WRITABLE = 0o600
_PERMISSIONS = 0o777


def identity(folder: Path) -> dict[str, str]:
    """Name → fingerprint of every file of the folder: size, time of change and, up to 64 MiB,
    SHA-256. Raises FaultError if it cannot be read."""
    out = {}
    try:
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            found = path.stat()
            digest = ""
            if found.st_size <= _HASHED:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            out[path.name] = f"{found.st_size}:{found.st_mtime_ns}:{digest}"
    except OSError as error:
        raise FaultError(f"the model in {folder} cannot be read: {error.strerror}") from error
    if not out:
        raise FaultError(f"{folder} holds no files of a model")
    return out


def link_all(original: Path, copy: Path, *, but: set[str]) -> None:
    """A folder that looks like the original: links to its files, but for those named. Whoever may
    read the original may read it, where it is mounted; the folder above stays the user's own."""
    copy.parent.mkdir(parents=True, exist_ok=True, mode=_PERSONAL)
    copy.parent.chmod(_PERSONAL)
    copy.mkdir(mode=_PERSONAL)
    _as_open(original, copy, least=_PERSONAL)
    for path in original.iterdir():
        if path.is_file() and path.name not in but:
            (copy / path.name).symlink_to(path.resolve())


def own_copy(original: Path, copy: Path, name: str) -> Path:
    """A real copy of one file, writable, as open as the original, never a link to it."""
    target = copy / name
    shutil.copyfile(original / name, target)
    _as_open(original / name, target, least=_WRITABLE)
    return target


def _as_open(original: Path, copy: Path, *, least: int) -> None:
    """The original's mode, with what we need ourselves; its owner too where only root may do that:
    the server may be another user's, and read what is its own."""
    there = original.stat()
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a root without that right: as for any other user
            os.chown(copy, there.st_uid, there.st_gid)
    copy.chmod(stat.S_IMODE(there.st_mode) & _PERMISSIONS | least)


def remove(folder: Path) -> bool:
    """Remove a scratch folder; False if it was not there. Links are removed, not followed."""
    if not folder.exists():
        return False
    shutil.rmtree(folder)
    return True
