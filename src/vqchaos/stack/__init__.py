"""What is under test and how to reach and control it.

``protocols`` is what faults, probes and the runner may ask for; each adapter (``local``, later
docker and attach) provides as much of it as it can and says why the rest is out of reach.
"""
