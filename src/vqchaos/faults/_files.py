"""Model folders: a copy that shares what is not changed, and proof that the original is whole."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from vqchaos.errors import FaultError

_HASHED = 64 * 1024**2  # larger files are compared by size and time of change alone
_PERSONAL = 0o700


def identity(folder: Path) -> dict[str, str]:
    """Name → fingerprint of every file of the folder: size, time of change and, up to 64 MiB,
    SHA-256. Raises FaultError if it cannot be read."""
    out = {}
    try:
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            stat = path.stat()
            digest = ""
            if stat.st_size <= _HASHED:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            out[path.name] = f"{stat.st_size}:{stat.st_mtime_ns}:{digest}"
    except OSError as error:
        raise FaultError(f"the model in {folder} cannot be read: {error.strerror}") from error
    if not out:
        raise FaultError(f"{folder} holds no files of a model")
    return out


def link_all(original: Path, copy: Path, *, but: set[str]) -> None:
    """A folder that looks like the original: links to its files, but for those named."""
    copy.mkdir(parents=True, mode=_PERSONAL)
    for path in original.iterdir():
        if path.is_file() and path.name not in but:
            (copy / path.name).symlink_to(path.resolve())


def own_copy(original: Path, copy: Path, name: str) -> Path:
    """A real copy of one file, writable, never a link to the original."""
    target = copy / name
    shutil.copyfile(original / name, target)
    target.chmod(0o600)
    return target


def remove(folder: Path) -> bool:
    """Remove a scratch folder; False if it was not there. Links are removed, not followed."""
    if not folder.exists():
        return False
    shutil.rmtree(folder)
    return True
