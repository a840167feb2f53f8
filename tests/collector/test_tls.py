"""With the files for TLS: who has no certificate or no token is refused, and the others come through."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.collector.processes import Collector, Sink, running, wait_until
from tests.receiver.otlp import a_span, batch


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """A CA of our own, a certificate for this machine, and two tokens, as files."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", "-days", "2")
    openssl("req", *new_key, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=machine")
    signed = ("-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tls.crt")
    openssl("x509", "-req", *signed, "-days", "2", "-extfile", "extensions")
    files = {"TLS_CERT": "tls.crt", "TLS_KEY": "tls.key", "TLS_CA": "ca.crt"}
    for role in ("agent", "gateway", "receiver"):
        (folder / f"{role}-token").write_text(f"token-of-the-{role}")
        files[f"{role.upper()}_TOKEN_FILE"] = f"{role}-token"
    return {f"LLMCOST_{name}": str(folder / file) for name, file in files.items()}


def test_only_who_has_token_and_certificate_comes_in(tmp_path: Path, secrets: dict[str, str], receiver: Sink) -> None:
    """
    An application without the agent's token gets 401, one that knows it comes through to the receiver, which is shown
    its own token; a gateway takes nothing from who has no certificate.
    """
    gateway = Collector(tmp_path, "gateway.yaml", "gateway-tls.yaml", LLMCOST_RECEIVER=receiver.url, **secrets)
    agent = Collector(
        tmp_path, "agent.yaml", "agent-tls.yaml", LLMCOST_GATEWAYS=f"[127.0.0.1:{gateway.grpc}]", **secrets
    )
    trusting = ssl.create_default_context(cafile=secrets["LLMCOST_TLS_CA"])
    with running(gateway, agent):
        assert ask(agent.http, "guessed", trusting) == 401
        assert ask(agent.http, "token-of-the-agent", trusting) == 200
        with pytest.raises(OSError, match=r"certificate required|reset|EOF|closed"):
            ask(gateway.http, "token-of-the-gateway", trusting)
        wait_until(receiver.span_keys, "the request at the receiver")

    assert receiver.span_keys() == [(f"{1:032x}", f"{1:016x}")]
    assert receiver.authorizations == ["Bearer token-of-the-receiver"]


def ask(port: int, token: str, trusting: ssl.SSLContext) -> int:
    """Send one span over TLS; give the status."""
    request = urllib.request.Request(
        f"https://127.0.0.1:{port}/v1/traces",
        data=json.dumps(batch(a_span(1))).encode(),
        headers={"content-type": "application/json", "authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
