"""What a toxic may be, and what Toxiproxy's server would misread or die of."""

from __future__ import annotations

from collections.abc import Mapping

from vqchaos.errors import StackError
from vqchaos.stack.protocols import Toxic

_TOP = 2**31 - 1
# type → attribute → (lowest, highest). Misspelt ones would become 0 in silence.
ATTRIBUTES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "latency": {"latency": (0, _TOP), "jitter": (0, _TOP)},
    "bandwidth": {"rate": (0, _TOP)},  # a negative rate kills the server
    "slow_close": {"delay": (0, _TOP)},
    "timeout": {"timeout": (0, _TOP)},
    "reset_peer": {"timeout": (0, _TOP)},
    "slicer": {"average_size": (1, _TOP), "size_variation": (0, _TOP), "delay": (0, _TOP)},
    "limit_data": {"bytes": (0, _TOP)},
    "noop": {},
}


def check(toxic: Toxic) -> None:
    """Raises StackError for what the server would misread or die of."""
    known = ATTRIBUTES.get(toxic.type)
    if known is None:
        raise StackError(f"Toxiproxy has no toxic of type '{toxic.type}'")
    if unknown := sorted(set(toxic.attributes) - set(known)):
        raise StackError(f"{toxic.type} has no attribute {', '.join(unknown)}")
    if lacking := sorted(set(known) - set(toxic.attributes)):
        raise StackError(f"{toxic.type} needs {', '.join(lacking)}")
    for name, value in toxic.attributes.items():
        low, high = known[name]
        if type(value) is not int or not low <= value <= high:
            raise StackError(f"{toxic.type}.{name}: expected {low} to {high}, whole; got {value!r}")
    if toxic.type == "slicer" and (
        toxic.attributes["size_variation"] > toxic.attributes["average_size"]
    ):
        raise StackError("slicer: size_variation above average_size kills the server")
    if not 0 <= toxic.toxicity <= 1:
        raise StackError(f"toxicity: expected 0 to 1, got {toxic.toxicity!r}")
    if toxic.type == "reset_peer" and toxic.toxicity == 0:
        raise StackError("reset_peer resets even with toxicity 0")
    if toxic.stream not in ("upstream", "downstream"):
        raise StackError(f"stream: expected upstream or downstream, got {toxic.stream!r}")
    if not toxic.name or "/" in toxic.name:
        raise StackError(f"a toxic's name must not hold a slash: {toxic.name!r}")
