"""Text from the target and from files is data: what is shown of it has no control in it.

The one place for this. What is left is valid in XML 1.0 and harmless to a terminal.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|.?)|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
# Everything that XML 1.0 does not allow, which is also what a terminal should not get, and the
# marks that turn the direction of text.
_CONTROL = re.compile(
    "[^\t\n\r\u0020-\u007e\u00a0-\u061b\u061d-\u200d\u2010-\u2029\u202f-\u2065\u206a-\ud7ff"
    "\ue000-\ufffd\U00010000-\U0010ffff]+"
)
LONGEST = 2000


def clean(value: object, longest: int = LONGEST) -> str:
    """Without terminal escapes and control characters; at most ``longest`` characters."""
    return _cut(_CONTROL.sub("", _ESCAPES.sub("", str(value))), longest)


def one_line(value: object, longest: int = 400) -> str:
    """As ``clean``, on one line: a control character counts as a space."""
    text = str(value)
    head = text[: longest * 8]  # a body of megabytes is not worth a look at its end
    line = " ".join(_CONTROL.sub(" ", _ESCAPES.sub("", head)).split())
    return _cut(line + " …" * (len(head) < len(text)), longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
