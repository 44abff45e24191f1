"""The run as checks and reports see it: pure, from the history alone."""

from vqchaos.view.faults import FaultRecord
from vqchaos.view.frame import PhaseSpan
from vqchaos.view.group import Group
from vqchaos.view.latency import Figures, figures
from vqchaos.view.replicas import NOBODY
from vqchaos.view.requests import sent_at, stalled_at, trouble_at, ttft
from vqchaos.view.run import RunView

__all__ = [
    "NOBODY",
    "FaultRecord",
    "Figures",
    "Group",
    "PhaseSpan",
    "RunView",
    "figures",
    "sent_at",
    "stalled_at",
    "trouble_at",
    "ttft",
]
