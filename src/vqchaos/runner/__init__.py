"""One run after MEASURE: baseline → inject → hold → revert → recover → judge.

The runner is the only caller of ``inject``. It writes the ledger first, always reverts, shielded,
and leaves a run folder that can be judged alone.
"""
