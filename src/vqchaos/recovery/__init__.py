"""When the service was back: pure from a whole history, and the same while it grows."""

from vqchaos.recovery.figures import Recovery, recover
from vqchaos.recovery.stages import STAGES, Moment
from vqchaos.recovery.watch import RecoveryWatch
from vqchaos.recovery.window import Window

__all__ = ["STAGES", "Moment", "Recovery", "RecoveryWatch", "Window", "recover"]
