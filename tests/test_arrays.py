from __future__ import annotations

import subprocess
import sys


def test_numpy_is_not_imported_before_something_is_reckoned() -> None:
    """It takes a tenth of a second, which `validate` and `list` need not wait for."""
    script = (
        "import sys, vqchaos.checks, vqchaos.judge, vqchaos.experiment.files\n"
        "assert 'numpy' not in sys.modules\n"
        "from vqchaos.arrays import np\n"
        "assert np.arange(3).tolist() == [0, 1, 2]\n"
        "assert 'numpy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
