"""report.html and index.html: a run and a set as one page each that opens offline.

Pure: ``data`` and its neighbours turn a verdict and a history into plain JSON values, ``page``
turns those into HTML. Text of the target is data in both.
"""

from vqchaos.report.html.data import Material, run_data
from vqchaos.report.html.page import run_page, set_page
from vqchaos.report.html.sets import set_data

__all__ = ["Material", "run_data", "run_page", "set_data", "set_page"]
