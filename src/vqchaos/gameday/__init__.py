"""A game day: people, a plan of experiments, one key that reverts."""
