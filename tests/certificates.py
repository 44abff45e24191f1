"""Certificates for a Docker daemon over TLS, of an authority of the test's own."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """An authority, a daemon of it that wants a client of it, and that client's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        folder.mkdir()
        self.authority.cert_pem.write_to_path(folder / "ca.pem")
        client = self.authority.issue_cert("client.example")
        client.private_key_pem.write_to_path(folder / "key.pem")
        client.cert_chain_pems[0].write_to_path(folder / "cert.pem")

    def daemon(self, name: str) -> ssl.SSLContext:
        """As `dockerd --tlsverify`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        self.authority.issue_cert(name).configure_cert(context)
        return context
