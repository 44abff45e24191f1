"""numpy, loaded at its first use: that takes a tenth of a second, and most commands judge nothing.

``np`` is for whoever reckons with columns; ``Floats``, ``Mask`` and ``Places`` are their types.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Places = NDArray[np.signedinteger]
else:

    class _Numpy:
        def __getattr__(self, name: str) -> Any:
            value = getattr(importlib.import_module("numpy"), name)
            setattr(self, name, value)
            return value

    np = _Numpy()
    Floats = Mask = Places = Any

__all__ = ["Floats", "Mask", "Places", "np"]
