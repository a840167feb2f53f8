"""Certificates for tests, by the openssl command: Python's own ssl module makes none."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["make_certificate"]

_CONFIGURATION = """
[ca]
default_ca = here
[here]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
subjectAltName = {names}
"""


def make_certificate(folder: Path, *, names: str = "IP:127.0.0.1", ends: int = 2100) -> Path:
    """Make a file of a key and its self-signed certificate, valid for `names` from 2020 until the year it ends."""
    folder.mkdir()
    (folder / "ca.cnf").write_text(_CONFIGURATION.format(names=names))
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    for command in (
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out request -subj /CN=double",
        "ca -selfsign -batch -notext -config ca.cnf -keyfile key -in request -out certificate "
        f"-startdate 20200101000000Z -enddate {ends}0101000000Z",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key").read_text() + (folder / "certificate").read_text())
    return both
