"""What the container faults share: which containers they mean, and how they go through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from vqchaos.clock import wait_until
from vqchaos.errors import FaultError, StackError, VqchaosError
from vqchaos.faults._replica import Target, role_alone, target_schema
from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.container_protocols import ContainerRef, ContainerState
from vqchaos.stack.protocols import Capability

TOKEN = "VQCHAOS_TOKEN"  # noqa: S105 - the name of a mark, not a secret
_PATIENCE = 10.0  # seconds for Docker to show what was done

ContainerRole = Literal["server", "router", "proxy"]


class ContainerTarget(Target):
    """Which containers."""

    role: ContainerRole = Field(default="server", description="server, router or proxy")


AnyTarget = Annotated[
    ContainerTarget, BeforeValidator(role_alone), target_schema("server", "router", "proxy")
]


class ContainerFault(Fault):
    """A fault of containers that run; what is captured of each lies in the state's
    ``containers``, beside its ``ref``."""

    family: ClassVar[str] = "containers"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.CONTAINERS})
    revert_timeout: ClassVar[float] = 60.0

    target: AnyTarget = Field(
        default=ContainerTarget(), description="A role, or {role, replica: 1 | any | all, count}"
    )

    def target_name(self) -> str | None:
        return str(self.target)

    def targets(self, world: World) -> list[str]:
        refs = matching(world, self.target)
        if self.target.replica != "any":
            return [ref.name for ref in refs]
        names = ", ".join(ref.name for ref in refs)
        return [f"one of {names}"] * self.target.count

    def capture(self, world: World, ticket: Ticket) -> State:
        refs = pick(world, self.target, ticket.seed)
        items = [{"ref": asdict(ref), **self.look(world, ref, ticket)} for ref in refs]
        return {"containers": items, "token": ticket.token}

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        """What the undo will need to know of one container. Touches nothing."""
        return {"started": world.containers.state(ref).started}


def matching(world: World, target: Target) -> list[ContainerRef]:
    """The running containers that the target means. Raises FaultError if there are too few."""
    found = [
        ref
        for ref in world.containers.find(target.role)
        if world.containers.state(ref).status == "running"
    ]
    if isinstance(target.replica, int):
        found = [ref for ref in found if ref.replica == target.replica]
    if len(found) < target.count:
        what = f"{target.role} {target.replica}" if target.replica != "all" else target.role
        raise FaultError(
            f"{len(found) or 'no'} container of {what} runs"
            + (f", and {target.count} are wanted" if found else ""),
            hint="is it up (`vqchaos status`), and does its file name the services of that role?",
        )
    return found


def pick(world: World, target: Target, seed: int) -> list[ContainerRef]:
    """As ``matching``; of ``any``, the ones that the seed draws."""
    found = matching(world, target)
    drawn = target.draw((ref.replica for ref in found), seed)
    return [ref for ref in found if ref.replica in drawn]


@dataclass(frozen=True)
class Case:
    """One container of a ledger entry. ``was``: what was captured of it."""

    ref: ContainerRef
    was: State


@dataclass(frozen=True)
class Seen(Case):
    """… and what it is now."""

    now: ContainerState

    @property
    def restarted(self) -> bool:
        """Did it end, or start anew, since it was captured?"""
        runs = self.now.status in ("running", "paused")
        return bool(self.now.started != self.was["started"]) or not runs


def cases(state: State) -> list[Case]:
    """From a ledger entry; a newer version's further keys are not needed."""
    names = ContainerRef.__dataclass_fields__
    found = []
    for item in state["containers"]:
        ref = {key: value for key, value in item["ref"].items() if key in names}
        found.append(Case(ContainerRef(**ref), item))
    return found


def look_at(world: World, case: Case) -> Seen:
    return Seen(case.ref, case.was, world.containers.state(case.ref))


def names_of(state: State) -> str:
    return " ".join(case.ref.name for case in cases(state))


def hit(state: State, act: Callable[[Case], object]) -> None:
    """Do it to each. Raises FaultError, after the last, for those where it failed."""
    failed: list[VqchaosError] = []
    for case in cases(state):
        try:
            act(case)
        except VqchaosError as error:
            failed.append(error)
    if failed:
        raise FaultError("; ".join(map(str, failed)), hint=failed[0].hint) from failed[0]


def undo_each(world: World, state: State, undo: Callable[[Seen], str | None]) -> str:
    """Undo it on each; the notes. One that is gone is undone; where one fails, the others are
    undone all the same, and then that is raised."""
    notes: list[str] = []
    failed: list[VqchaosError] = []
    for case in cases(state):
        gone = f"{case.ref.name} is gone; there is nothing to undo on it"
        try:
            seen = look_at(world, case)
            note = gone if seen.now.status == "gone" else undo(seen)
        except VqchaosError as error:
            if not _removed(world, case):
                failed.append(error)
                continue
            note = gone
        notes += [note] if note else []
    if failed:
        raise failed[0]
    return "; ".join(notes)


def _removed(world: World, case: Case) -> bool:
    """In mid-air, while it was being undone."""
    try:
        return look_at(world, case).now.status == "gone"
    except StackError:
        return False


def judge(
    world: World,
    state: State,
    wrong: Callable[[Seen], str | None],
    right: str,
    patience: float = _PATIENCE,
) -> Verification:
    """``wrong`` says of one container what is not as wanted, None if it is. It is asked until all
    are as wanted, for as long as the patience lasts; ``right`` is said then."""

    def complaints() -> list[str]:
        found = []
        for case in cases(state):
            said = wrong(look_at(world, case))
            found += [f"{case.ref.name} {said}"] if said else []
        return found

    if wait_until(lambda: not complaints(), patience, world.clock, every=0.05):
        return Verification("yes", f"{names_of(state)}: {right}")
    return Verification("no", "; ".join(complaints()) or f"{names_of(state)}: too late")


def docker(verb: str, state: State) -> list[str]:
    """The manual step: one command for all of them."""
    return [f"docker {verb} {names_of(state)}"]


def fields(item: Any) -> dict[str, Any]:
    """A dataclass as JSON."""
    return asdict(item)
