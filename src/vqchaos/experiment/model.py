"""The frozen model of one experiment, as the YAML of the design describes it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vqchaos.checks import AnyCheck
from vqchaos.load.workload import Workload
from vqchaos.scenario import Scenario


class Experiment(Scenario):
    """One experiment file."""

    checks: list[AnyCheck] = Field(
        default_factory=list, description="What is judged; the worst of them is the verdict"
    )

    def resolved(self) -> dict[str, Any]:
        """For experiment.yaml: every default filled in; a valid experiment file again."""
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self.workload is None and self.workloads is None:
            data["workload"] = Workload().model_dump(mode="json", exclude_none=True)
        return data
