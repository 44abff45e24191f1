"""The model a stack file names: the demo's, a folder, or a name on the hub."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import vqchaos
from vqchaos.errors import UsageError

_HASH_WHOLE = 2 * 1024**3  # bytes; larger models are known by sizes and file heads
_HEAD = 1024**2


@dataclass(frozen=True, slots=True)
class Model:
    """``argument`` is what vLLM gets. ``folder`` is None while a hub model is not downloaded."""

    argument: str
    folder: Path | None
    local: bool  # needs no network


def demo_model_dir() -> Path:
    """The trained toy Qwen3 that ships with vqchaos."""
    return Path(vqchaos.__file__).parent / "data" / "demo-model"


def find_model(name: str, stack_file: Path) -> Model:
    """A path is relative to the stack file. Raises UsageError if it is meant and not there."""
    if name == "demo":
        return Model(str(demo_model_dir()), demo_model_dir(), local=True)
    path = (stack_file.parent / Path(name).expanduser()).resolve()
    if path.is_dir():
        return Model(str(path), path, local=True)
    if name.startswith(("/", ".", "~")) or name.count("/") != 1:
        raise UsageError(
            f"{stack_file}: model: no folder {path}",
            hint="`demo`, a folder (relative to the stack file), or a hub name such as "
            "Qwen/Qwen3-0.6B",
        )
    return Model(name, _downloaded(name), local=False)


def _downloaded(name: str) -> Path | None:
    """The snapshot in Hugging Face's cache, if there is one."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = hub / f"models--{name.replace('/', '--')}"
    try:
        revision = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except OSError:
        return None
    snapshot = folder / "snapshots" / revision
    return snapshot if snapshot.is_dir() else None


def fingerprint(folder: Path) -> dict[str, object]:
    """What tells this model from another: ``sha256`` over names, sizes and contents; over the
    first mebibyte of each file only if the model is large (``whole`` says which)."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "README.md")
    size = sum(p.stat().st_size for p in files)
    whole = size <= _HASH_WHOLE
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_HEAD):
                digest.update(block)
                if not whole:
                    break
    return {"sha256": digest.hexdigest(), "whole": whole, "bytes": size, "files": len(files)}
