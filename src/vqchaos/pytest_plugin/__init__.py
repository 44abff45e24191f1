"""vqchaos in pytest: experiments as test items, and faults in tests of one's own.

``pytest experiments/process_kill.yaml`` runs an experiment; ``chaos.inject(…)`` holds a fault while
a block runs. Loaded into every pytest of the environment, so that nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vqchaos.pytest_plugin.chaos import Chaos
    from vqchaos.pytest_plugin.experiments import ExperimentFile

MARKER = "chaos(stack=NAME, sets=[…]): breaks the stack on purpose; `-m 'not chaos'` leaves it out"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos", "chaos experiments on a live vLLM stack (vqchaos)")
    group.addoption(
        "--chaos",
        action="store_true",
        help="collect experiment files also where only a folder above theirs is named",
    )
    group.addoption(
        "--chaos-stack", default="local", metavar="STACK", help="a stack's name or file"
    )
    group.addoption(
        "--chaos-set", action="append", default=[], metavar="PATH=VALUE", help="as `vqchaos --set`"
    )
    group.addoption(
        "--chaos-out", type=Path, default=Path("runs"), metavar="DIR", help="where runs go"
    )
    group.addoption(
        "--chaos-yes", action="store_true", help="needed for a stack that is production"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ExperimentFile | None:
    """An experiment is collected where it is meant: its file or its own folder is named on the
    command line, or ``--chaos`` is given. A plain ``pytest`` breaks nothing."""
    if file_path.suffix not in (".yaml", ".yml") or not _meant(file_path, parent.config):
        return None
    from vqchaos.pytest_plugin.experiments import ExperimentFile, is_experiment  # noqa: PLC0415

    if not is_experiment(file_path):
        return None
    found: ExperimentFile = ExperimentFile.from_parent(parent, path=file_path)
    return found


def _meant(path: Path, config: pytest.Config) -> bool:
    if config.getoption("--chaos"):
        return True
    from vqchaos.pytest_plugin.turns import named  # noqa: PLC0415

    return bool({path.resolve(), path.parent.resolve()} & named(config))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of xdist: a worker cannot tell what its controller's command line named."""
    from vqchaos.pytest_plugin.turns import NAMED, named  # noqa: PLC0415

    node.workerinput[NAMED] = [str(path) for path in named(node.config)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chaos" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.chaos)


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """Faults for this test: ``with chaos.inject("latency", latency="300ms"): …``. The stack is held
    for as long as the test runs, and every fault is reverted whatever happens."""
    from vqchaos.pytest_plugin.chaos import holding  # noqa: PLC0415

    with holding(request.node) as held:
        yield held
