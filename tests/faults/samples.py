"""The contract suite's samples: the faults of the example experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors
import yaml

from vqchaos.faults import REGISTRY
from vqchaos.faults.base import Fault, Ticket

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SEED = 7


def files(kind: str) -> list[Path]:
    """The example files of one fault: ``<type>.yaml`` and ``<type>-<mode>.yaml``."""
    return [*EXPERIMENTS.glob(f"{kind}.yaml"), *sorted(EXPERIMENTS.glob(f"{kind}-*.yaml"))]


def faults_in(path: Path) -> list[Fault]:
    """The faults of one file, each validated by its class."""
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [REGISTRY[fault["type"]].model_validate(fault) for fault in data["faults"]]


def all_samples() -> dict[str, Fault]:
    """File stem → its fault, for every type of the registry."""
    return {
        path.stem: fault
        for kind in REGISTRY
        for path in files(kind)
        for fault in faults_in(path)
        if fault.type == kind
    }


def load(data: bytes) -> dict[str, bytes]:
    """A safetensors file's tensors as the library itself reads them."""
    found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    return {name: bytes(info["data"]) for name, info in found}


def ticket(number: int = 1, *, token: str = "t0k3n000", seed: int = SEED) -> Ticket:
    """As the runner makes one; its deadline is ten minutes after the manual clock's start."""
    return Ticket("a1b2c3d4", number, token, deadline_wall=1_800_000_600.0, seed=seed)
