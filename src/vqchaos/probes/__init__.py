"""One file a probe. What they need of HTTP is handed in (see ``protocols``)."""
