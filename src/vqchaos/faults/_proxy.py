"""Taking a toxic off the proxy, for the network faults."""

from __future__ import annotations

from collections.abc import Mapping

from vqchaos.faults.base import World
from vqchaos.stack.protocols import Removal

RESTARTED = "Toxiproxy's API hung: it was restarted, which cut live connections"
_NOTES: Mapping[Removal, str] = {
    "removed": "",
    "absent": "the toxic was gone already",
    "recreated": "the removal hung: the proxy was made anew, which cut live connections",
    "restarted": RESTARTED,
}


def take_off(world: World, name: str) -> str:
    """Whatever state the proxy's API is in; a note on how it went, empty if as usual."""
    return RESTARTED if world.proxy.revive() else _NOTES[world.proxy.remove(name)]
