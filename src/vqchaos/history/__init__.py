"""What was seen in one run: frozen events, in order, append-only, as JSON Lines.

Imports nothing of vqchaos. ``events`` has the event types, ``store`` writes and reads them,
``history`` holds those of a run, the many of them in ``columns``.
"""
