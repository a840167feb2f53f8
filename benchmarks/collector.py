"""
What the Collector of `make collector` costs per GenAI span: an agent and a gateway, each on one core, into a sink.

    python benchmarks/collector.py [requests of 200 spans]

The configurations are those of collector-config/, queues on disk with fsync included; the sampled branch is counted in the
log. No TLS. Without that Collector it says so and measures nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from compose.application import body  # noqa: E402  # as a script, the root is on the path only now

CONFIG = ROOT / "collector-config"
MANIFEST = (CONFIG / "builder.yaml", CONFIG / "modules/go.mod", CONFIG / "modules/go.sum")
SPANS = 200
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Sink(BaseHTTPRequestHandler):
    """Takes everything, and counts its bytes."""

    protocol_version = "HTTP/1.1"
    requests = received = 0

    def do_POST(self) -> None:
        """Take it."""
        length = int(self.headers["content-length"])
        self.rfile.read(length)
        Sink.requests, Sink.received = Sink.requests + 1, Sink.received + length
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Collector:
    """One Collector on one core."""

    def __init__(self, binary: Path, folder: Path, role: str, *files: Path, **settings: str) -> None:
        self.role, self.grpc, self.http, health = role, *(free_port() for _ in range(3))
        environment = {
            "PATH": os.environ["PATH"],
            "GOMAXPROCS": "1",
            f"LLMCOST_{role}_STATE": str(folder / role),
            f"LLMCOST_{role}_GRPC": f"127.0.0.1:{self.grpc}",
            f"LLMCOST_{role}_HTTP": f"127.0.0.1:{self.http}",
            f"LLMCOST_{role}_HEALTH": f"127.0.0.1:{health}",
        }
        command = [str(binary), *(f"--config={file}" for file in files)]
        with (folder / f"{role}.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=environment | settings, stdout=log, stderr=log)
        for _ in range(300):
            try:
                urlopen(f"http://127.0.0.1:{health}", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        self._before = self._cpu_seconds()

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def report(self, spans: int) -> str:
        """Give the CPU per span since it was up."""
        used = self._cpu_seconds() - self._before
        peak = next(
            line
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        mib = int(peak.split()[1]) // 1024
        return f"{self.role.lower()}: {1e6 * used / spans:.0f} us CPU a span, {spans / used:,.0f} spans/s per core, {mib} MiB"

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bodies() -> list[bytes]:
    """Give a few requests in protobuf."""
    chance, made = random.Random(1), []
    for _ in range(20):
        sent = body(chance, SPANS, time.time_ns())
        for span in sent["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            for key in ("traceId", "spanId"):  # bytes are base64 in protobuf's own JSON, hex in OTLP's
                span[key] = b64encode(bytes.fromhex(span[key])).decode()
        made.append(ParseDict(sent, ExportTraceServiceRequest()).SerializeToString())
    return made


def send(port: int, requests: int) -> float:
    """Send one after the other, again what was refused; give the seconds."""
    connection, made, started = http.client.HTTPConnection("127.0.0.1", port), bodies(), time.perf_counter()
    for number in range(requests):
        status = 0
        while status != 200:
            connection.request("POST", "/v1/traces", made[number % 20], {"content-type": "application/x-protobuf"})
            with connection.getresponse() as answer:
                answer.read()
                status = answer.status
    return time.perf_counter() - started


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in MANIFEST)).hexdigest()[:12]
    binary = ROOT / f".collector/otelcol-llmcost-{digest}"
    if not binary.exists():
        print("not measured: `make collector` builds what this needs")
        return
    sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="llmcost-collector-") as place, ExitStack() as ends:
        folder, receiver = Path(place), f"http://127.0.0.1:{sink.server_port}"
        files = CONFIG / "gateway.yaml", ROOT / "compose" / "gateway.yaml"
        gateway = Collector(binary, folder, "GATEWAY", *files, LLMCOST_RECEIVER=receiver)
        ends.callback(gateway.end)
        gateways = f"[127.0.0.1:{gateway.grpc}]"
        agent = Collector(binary, folder, "AGENT", CONFIG / "agent.yaml", LLMCOST_GATEWAYS=gateways)
        ends.callback(agent.end)
        spent, last = send(agent.http, requests), -1
        while Sink.requests != last:  # until nothing comes any more
            last = Sink.requests
            time.sleep(3)
        spans = requests * SPANS
        print(f"{spans:,} spans in {spent:.1f} s; {Sink.received / spans:.0f} bytes a span reach the receiver")
        print(agent.report(spans))
        print(gateway.report(spans))


if __name__ == "__main__":
    main()
