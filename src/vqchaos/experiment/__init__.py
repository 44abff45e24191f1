"""The frozen model of an experiment; YAML comes in here and nowhere else."""
