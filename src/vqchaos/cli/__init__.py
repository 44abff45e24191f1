"""The commands, nothing else: words in, calls below, text and exit codes out."""
