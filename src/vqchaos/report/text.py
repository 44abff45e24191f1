"""Text from the target and from files is data: what is shown of it has no control in it."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.?)",
    re.DOTALL,
)
# Everything that XML 1.0 does not allow, which is also what a terminal should not get, and the
# marks that turn the direction of text.
_CONTROL = re.compile(
    "[^\t\n\r\u0020-\u007e\u00a0-\u061b\u061d-\u200d\u2010-\u2029\u202f-\u2065\u206a-\ud7ff"
    "\ue000-\ufffd\U00010000-\U0010ffff]"
)
LONGEST = 2000


def clean(value: object, longest: int = LONGEST) -> str:
    """Without terminal escapes and control characters; at most ``longest`` characters."""
    text = _CONTROL.sub("", _ESCAPES.sub("", str(value)))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def one_line(value: object, longest: int = 400) -> str:
    """As ``clean``, on one line."""
    return clean(" ".join(clean(value).split()), longest)
