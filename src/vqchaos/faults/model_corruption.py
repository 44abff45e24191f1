"""``model_corruption``: the model's files are damaged, always on a copy."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vqchaos.errors import FaultError
from vqchaos.faults import _safetensors
from vqchaos.faults._files import identity, link_all, own_copy, remove
from vqchaos.faults.base import StartupFault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability, StartOverride

Mode = Literal["truncate", "header", "config", "tokenizer", "bit_flip", "exponent_flip"]
MANIFEST = "vqchaos-corruption.json"
_FLIPS = ("bit_flip", "exponent_flip")
# Its output is added to the residual stream at every token: a weight of 1e38 there drowns all else.
_EXPONENT_TENSOR = "*mlp.down_proj.weight"
_CAUSES: dict[str, tuple[str, ...]] = {
    "truncate": (r"SafetensorError", r"incomplete metadata", r"not fully covered"),
    "header": (r"SafetensorError", r"header", r"MemoryError", r"struct\.error"),
    "config": (r"validation error", r"not supported", r"architectures?\b", r"config"),
    "tokenizer": (r"JSONDecodeError", r"tokenizer", r"EOF while parsing", r"expected value"),
    "bit_flip": (),
    "exponent_flip": (),
}


class ModelCorruption(StartupFault):
    """Starts the server on a damaged copy of its model; files that stay whole are shared by links.

    Modes: ``truncate`` cuts the weights in half; ``header`` overwrites their header; ``config``
    names an architecture that does not exist; ``tokenizer`` cuts the tokenizer in half;
    ``bit_flip`` turns ``count`` bits of the weights, at position ``bit`` if one is named;
    ``exponent_flip`` turns the top exponent bit of ``count`` weights. The last two load without a
    word: only the canary can see them.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.STARTUP, Capability.MODEL_FILES})
    summary: ClassVar[str] = "The model's files are damaged: cut, overwritten, or bits flipped."
    graceful: ClassVar[str] = (
        "Broken files are refused fast, by name. Flipped bits load in silence: a canary sees them."
    )
    undo: ClassVar[str] = "end that attempt, start the server clean, remove the copy"

    type: Literal["model_corruption"]
    mode: Mode = Field(description="truncate, header, config, tokenizer, bit_flip, exponent_flip")
    count: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="How many bits (bit_flip, exponent_flip)"
    )
    bit: Annotated[int, Field(ge=0, le=63)] | None = Field(
        default=None, description="Which bit of an element, 0 the lowest; null = at random"
    )
    tensor: str | None = Field(
        default=None, description="A glob over the tensors' names; null = all that suit the mode"
    )

    @model_validator(mode="after")
    def _suits_mode(self) -> Self:
        if self.mode not in _FLIPS:
            defaults = {"count": 1, "bit": None, "tensor": None}
            given = [name for name, value in defaults.items() if getattr(self, name) != value]
            if given:
                raise ValueError(f"{', '.join(given)}: only for bit_flip and exponent_flip")
        if self.mode == "exponent_flip" and self.bit is not None:
            raise ValueError("bit: exponent_flip flips the top exponent bit; use bit_flip")
        return self

    def target_name(self) -> str | None:
        return f"model, {self.mode}" + (f", {self.target}" if self.target.replica > 1 else "")

    def expected_causes(self) -> tuple[str, ...]:
        return _CAUSES[self.mode]

    def plan(self, world: World) -> list[str]:
        changed = ", ".join(path.name for path in self._changed(self.server(world).model_dir()))
        return [
            f"copy {changed}, link the rest, damage the copy ({self.mode})",
            f"drain, then stop {self.whom} (SIGTERM, SIGKILL to its group after 15 s)",
            "start it on the copy",
            f"undo: {self.undo}",
        ]

    def _changed(self, original: Path) -> list[Path]:
        """The files that this mode damages."""
        if self.mode in ("config", "tokenizer"):
            path = original / f"{self.mode}.json"
            if not path.is_file():
                raise FaultError(f"the model has no {path.name}")
            return [path]
        weights = sorted(original.glob("*.safetensors"))
        if not weights:
            raise FaultError(f"{original} holds no safetensors weights")
        if self.mode not in _FLIPS:
            return weights[-1:]
        pattern = self._pattern(weights)
        chosen = _safetensors.choose(weights, pattern, self.bit, exponent=self._exponent)
        names = {tensor.file for tensor, _ in chosen}
        return [path for path in weights if path.name in names]

    @property
    def _exponent(self) -> bool:
        return self.mode == "exponent_flip"

    def _pattern(self, weights: list[Path]) -> str:
        if self.tensor is not None:
            return self.tensor
        if self._exponent:
            try:
                _safetensors.choose(weights, _EXPONENT_TENSOR, None, exponent=True)
            except FaultError:  # another architecture names it otherwise
                return "*"
            return _EXPONENT_TENSOR
        return "*"

    def before(self, world: World, ticket: Ticket) -> State:
        original = self.server(world).model_dir()
        return {
            "scratch": str(self.server(world).scratch(ticket.token)),
            "original": str(original),
            "identity": identity(original),
            "changed": [path.name for path in self._changed(original)],
            "seed": ticket.seed,
        }

    def prepare(self, world: World, state: State) -> None:
        original, copy = Path(state["original"]), Path(state["scratch"])
        link_all(original, copy, but=set(state["changed"]))
        files = [own_copy(original, copy, name) for name in state["changed"]]
        manifest = {"mode": self.mode, "files": state["changed"], "flips": []}
        if self.mode in _FLIPS:
            chosen = _safetensors.choose(
                files, self._pattern(files), self.bit, exponent=self._exponent
            )
            flips = _safetensors.flip(copy, chosen, self.count, state["seed"])
            manifest["flips"] = [flip.as_json() for flip in flips]
        else:
            damage(files[0], self.mode)
        (copy / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def apply(self, world: World, state: State) -> StartOverride:
        return StartOverride(model=Path(state["scratch"]))

    def applied(self, world: World, state: State) -> Verification:
        original, copy = Path(state["original"]), Path(state["scratch"])
        try:
            manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
            same = [
                name
                for name in state["changed"]
                if filecmp.cmp(copy / name, original / name, shallow=False)
            ]
        except (OSError, ValueError) as error:
            return Verification("no", f"the damaged copy cannot be read: {error}")
        flips = manifest["flips"]
        hit = {flip["file"] for flip in flips}
        if any(name in hit or not flips for name in same):
            return Verification("no", f"{', '.join(same)}: the copy is like the original")
        if not flips:
            return Verification("yes", f"{', '.join(state['changed'])}: {self.mode}")
        first = flips[0]
        more = f" and {len(flips) - 1} more" if len(flips) > 1 else ""
        where = f"bit {first['bit']} of {first['tensor']}[{first['element']}]"
        return Verification("yes", f"{where}: {first['before']} → {first['after']}{more}")

    @classmethod
    def unapply(cls, world: World, state: State) -> str:
        return "" if remove(Path(state["scratch"])) else "the copy was not there"

    @classmethod
    def unapplied(cls, world: World, state: State) -> Verification:
        if Path(state["scratch"]).exists():
            return Verification("no", f"the copy {state['scratch']} is still there")
        # What stands in for a server knows nothing of the original.
        if "original" in state and identity(Path(state["original"])) != state["identity"]:
            return Verification("no", "the original model's files are not as before the run")
        return Verification("yes", "the copy is gone, the original is as before")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return ["start the server with its own model", f"rm -r {state['scratch']}"]


def damage(path: Path, mode: str) -> None:
    """Damage one file in place, as ``mode`` says."""
    if mode in ("truncate", "tokenizer"):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    elif mode == "header":
        with path.open("r+b") as file:
            file.write(b"\xff" * 64)
    elif mode == "config":
        config = json.loads(path.read_text(encoding="utf-8"))
        config["architectures"] = ["NoSuchModelForCausalLM"]
        config["model_type"] = "no_such_model"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    else:
        raise ValueError(mode)
