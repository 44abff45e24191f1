from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import FakeWorld


@pytest.fixture
def world(tmp_path: Path) -> FakeWorld:
    return FakeWorld(tmp_path / "world")
