"""Open-loop traffic and what each request saw."""
