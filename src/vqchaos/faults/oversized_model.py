"""``oversized_model``: a model far larger than the memory is started by mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vqchaos.errors import FaultError
from vqchaos.faults._files import identity, link_all, own_copy, remove
from vqchaos.faults.base import StartupFault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability, StartOverride
from vqchaos.units import format_size

_HEAD = 128  # dimensions of an attention head, as in the real Qwen3
_SMALLEST_WEIGHT = 2  # bytes; the server may use more (float32: 4)


class OversizedModel(StartupFault):
    """A Qwen3 configuration of many wide layers with dummy weights, started under the stack's
    memory limit. Never without a limit: the kernel would then pick its own victim."""

    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.STARTUP, Capability.MODEL_FILES, Capability.MEMORY_LIMIT}
    )
    summary: ClassVar[str] = "A model far larger than the memory limit is started."
    graceful: ClassVar[str] = (
        "The server exits in bounded time, not 0, says that memory ran out, and frees all of it."
    )
    undo: ClassVar[str] = "end that attempt, start the server clean, remove the model's folder"
    causes: ClassVar[tuple[str, ...]] = (
        r"can't allocate memory",
        r"out of memory",
        r"OutOfMemoryError",
        r"MemoryError",
        r"Cannot allocate memory",
    )

    type: Literal["oversized_model"]
    layers: Annotated[int, Field(ge=1, le=512, description="Layers of the model")] = 16
    hidden: Annotated[
        int, Field(ge=256, le=32768, multiple_of=128, description="Its hidden size")
    ] = 8192

    def parameters(self) -> int:
        """How many weights the layers hold."""
        wide = self.hidden * self.hidden
        key_value = 2 * self.hidden * (self.hidden // 8)
        feed_forward = 3 * self.hidden * (3 * self.hidden)
        return self.layers * (2 * wide + key_value + feed_forward)

    def _limit(self, world: World) -> int:
        limit = self.server(world).memory_limit()
        if limit is None:
            raise FaultError("the stack has no memory limit to protect the host", hint="set one")
        if self.parameters() * _SMALLEST_WEIGHT <= limit:
            raise FaultError(
                f"{format_size(self.parameters() * _SMALLEST_WEIGHT)} may fit into the limit of "
                f"{format_size(limit)}",
                hint="raise `layers` or `hidden`",
            )
        return limit

    def plan(self, world: World) -> list[str]:
        limit = self._limit(world)
        size = format_size(self.parameters() * _SMALLEST_WEIGHT)
        return [
            f"drain, then stop {self.whom} (SIGTERM, SIGKILL to its group after 15 s)",
            f"start it with a model of at least {size} under the limit of {format_size(limit)}",
            f"undo: {self.undo}",
        ]

    def before(self, world: World, ticket: Ticket) -> State:
        self._limit(world)
        original = self.server(world).model_dir()
        return {
            "scratch": str(self.server(world).scratch(ticket.token)),
            "original": str(original),
            "identity": identity(original),
        }

    def prepare(self, world: World, state: State) -> None:
        original, copy = Path(state["original"]), Path(state["scratch"])
        weights = {path.name for path in original.glob("*.safetensors*")}
        link_all(original, copy, but=weights | {"config.json"})
        config = json.loads((original / "config.json").read_text(encoding="utf-8"))
        config |= {
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": 3 * self.hidden,
            "num_attention_heads": self.hidden // _HEAD,
            "num_key_value_heads": max(1, self.hidden // _HEAD // 8),
            "head_dim": _HEAD,
        }
        for key in ("layer_types", "max_window_layers"):  # these are as long as the old layers
            config.pop(key, None)
        own_copy(original, copy, "config.json").write_text(
            json.dumps(config, indent=1), encoding="utf-8"
        )

    def apply(self, world: World, state: State) -> StartOverride:
        return StartOverride(model=Path(state["scratch"]), extra_args=("--load-format", "dummy"))

    def applied(self, world: World, state: State) -> Verification:
        if not (Path(state["scratch"]) / "config.json").is_file():
            return Verification("no", "the oversized model's folder is not there")
        size = format_size(self.parameters() * _SMALLEST_WEIGHT)
        return Verification("yes", f"the server was started with a model of at least {size}")

    @classmethod
    def unapply(cls, world: World, state: State) -> str:
        return "" if remove(Path(state["scratch"])) else "the model's folder was not there"

    @classmethod
    def unapplied(cls, world: World, state: State) -> Verification:
        if Path(state["scratch"]).exists():
            return Verification("no", f"{state['scratch']} is still there")
        # What stands in for a server knows nothing of the original.
        if "original" in state and identity(Path(state["original"])) != state["identity"]:
            return Verification("no", "the original model's files are not as before the run")
        return Verification("yes", "the server was started clean, the folder is gone")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return ["start the server with its own model", f"rm -r {state['scratch']}"]
