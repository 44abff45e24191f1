"""The files that ``vqchaos init`` writes: commented, and valid as they are."""

from __future__ import annotations

from importlib import resources

EXPERIMENT = """\
# A first experiment. Check it with `vqchaos validate`, see its steps with `vqchaos plan`,
# run it with `vqchaos run`. `vqchaos faults` and `vqchaos checks` list what there is.
version: 1
name: first
title: The engine is killed; the supervisor brings the service back
# What a good stack does. The checks below say it in numbers.
hypothesis: clients see errors for less than two minutes, nothing hangs, health tells the truth
labels: [process]

workload:                   # what clients do all the while
  api: completions          # completions or chat
  rate: 4                   # requests a second; a slow server does not slow them
  arrivals: poisson         # poisson, constant, or a file of offsets in seconds
  stream: true
  max_tokens: 32
  deadline: 20s             # a request that has not ended by then is hung

phases:
  warmup: 5s                # not judged
  baseline: 20s             # what is normal
  fault: 10s                # faults are in force
  recovery: 180s            # a limit: it ends as soon as the service has recovered
  settle: 10s               # watches for a relapse

recovered:                  # recovered = so long, so many successes, at most so much slower
  for: 5s
  successes: 10
  slowdown: 3.0

faults:
  - type: process_kill      # `vqchaos faults process_kill` explains its settings
    target: engine          # server, engine or worker
    at: 0s                  # after the fault phase began

checks:                     # the worst of them is the verdict
  - {type: recovery_time, max: 120s}
  - {type: outcomes, phase: fault, forbid: [hung, corrupted]}
  - {type: health_truthful, within: 5s}
  - {type: canary}          # known answers are the same as before
  - {type: no_residue}      # nothing of the dead server stays behind
"""


def starters() -> dict[str, str]:
    """Relative path → text; the experiment first."""
    shipped = resources.files("vqchaos").joinpath("data/stacks/local.yaml")
    return {
        "experiments/first.yaml": EXPERIMENT,
        "stacks/local.yaml": shipped.read_text(encoding="utf-8"),
    }
