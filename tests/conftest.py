from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes import FakeWorld

pytest_plugins = ["pytester"]
# Hypothesis' deadline is a timed assertion: on a busy machine it fails what is right.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture
def world(tmp_path: Path) -> FakeWorld:
    return FakeWorld(tmp_path / "world")
