"""Load and probes in a process of their own, and the runner's link to it."""
