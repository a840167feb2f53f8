"""
A provider simulator on loopback: OpenAI's and Anthropic's APIs, answering what a script says.

It owns the socket, the queue of scripted replies and the record of what callers sent; the shapes of the answers are
in `openai_shapes`, `openai_responses` and `anthropic_shapes`. It talks to nobody and checks no key.

    with Simulator() as simulator:
        simulator.script(Reply(usage=Usage(input_tokens=8000, output_tokens=1200)))
        client = openai.OpenAI(base_url=simulator.openai_base_url, api_key="any")
        client.chat.completions.create(model="gpt-5.4-mini", messages=[...])
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Self

from otel_llmcost.demo import anthropic_shapes, openai_responses, openai_shapes
from otel_llmcost.demo.replies import CannotSayError, Event, Received, Reply

__all__ = ["Received", "Reply", "Simulator"]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """How one path answers: whole, as a stream where it can, and with whose errors."""

    whole: Callable[[Received, Reply, str], Mapping[str, object]]
    stream: Callable[[Received, Reply, str], Iterator[Event]] | None
    error: Callable[[int, str, str], Mapping[str, object]]
    id_prefix: str
    request_id_header: str


def _openai(
    whole: Callable[[Received, Reply, str], Mapping[str, object]],
    stream: Callable[[Received, Reply, str], Iterator[Event]] | None = None,
    id_prefix: str = "",
) -> _Endpoint:
    return _Endpoint(whole, stream, openai_shapes.error, id_prefix, "x-request-id")


def _anthropic(
    whole: Callable[[Received, Reply, str], Mapping[str, object]],
    stream: Callable[[Received, Reply, str], Iterator[Event]] | None = None,
) -> _Endpoint:
    return _Endpoint(whole, stream, anthropic_shapes.error, "msg_", "request-id")


_ENDPOINTS = {
    "/chat/completions": _openai(openai_shapes.chat, openai_shapes.chat_events, "chatcmpl-"),
    "/responses": _openai(openai_responses.response, openai_responses.response_events, "resp_"),
    "/embeddings": _openai(openai_shapes.embeddings),
    "/messages": _anthropic(anthropic_shapes.message, anthropic_shapes.message_events),
    "/messages/count_tokens": _anthropic(anthropic_shapes.count_tokens),
}
"""By how the path ends, so that any prefix works: `/v1`, or Azure's `/openai/deployments/<name>`."""


class Simulator:
    """
    Answers on `127.0.0.1` while its context is open.

    Scripted replies are used first come, first served; after them `answer` decides, by default `Reply()`. Concurrent
    callers that must know which reply they get use `answer`: it sees the request.
    """

    def __init__(self, answer: Callable[[Received], Reply] = lambda _received: Reply()) -> None:
        self.requests: list[Received] = []
        """Every request received, in order of arrival."""
        self.responses: dict[str, Mapping[str, object]] = {}
        """Every response given by OpenAI's Responses API, by id: `GET /v1/responses/<id>` gives it again."""
        self.closing = threading.Event()
        self._answer = answer
        self._script: deque[Reply] = deque()
        self._server = _Server(self)
        # The poll interval bounds how long closing takes.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_base_url(self) -> str:
        """`base_url` for `openai.OpenAI`."""
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """`base_url` for `anthropic.Anthropic`."""
        return self.url

    def script(self, *replies: Reply) -> Self:
        """Queue replies for the requests to come, in their order."""
        self._script.extend(replies)
        return self

    def reply_to(self, received: Received) -> Reply:
        """Take the next scripted reply, or ask `answer`."""
        self.requests.append(received)
        try:
            return self._script.popleft()
        except IndexError:
            return self._answer(received)


class _Server(socketserver.TCPServer):
    """One thread per connection; closes what callers leave open, so that no socket outlives the simulator."""

    request_queue_size = 128

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)  # noqa: S101  # a TCPServer hands over nothing else
        # Noted before the thread starts: close() must not miss one.
        self._open[request] = threading.Thread(target=self._converse, args=(request, client_address), daemon=True)
        self._open[request].start()

    def _converse(self, connection: socket.socket, client_address: tuple[str, int]) -> None:
        try:
            # A caller that hangs up (its timeout, an abandoned stream) is part of what we simulate.
            with contextlib.suppress(ConnectionError):
                self.finish_request(connection, client_address)
        finally:
            with contextlib.suppress(OSError):
                self.shutdown_request(connection)
            self._open.pop(connection, None)

    def close(self) -> None:
        """Hang up on every caller and wait until nobody is served."""
        self.server_close()
        for connection, thread in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive and chunked streams, as the providers have them
    disable_nagle_algorithm = True  # head and body are two writes: with Nagle the second waits 40 ms for an ACK
    server: _Server

    def do_GET(self) -> None:
        """OpenAI's retrieval of an earlier response: billed once, when it was made."""
        kept = self.server.simulator.responses.get(self.path.partition("?")[0].rpartition("/")[2])
        missing = openai_shapes.error(404, "no such response", "")
        self._send_json(404 if kept is None else 200, kept or missing, {})

    def do_POST(self) -> None:
        received = self._receive()
        reply = self.server.simulator.reply_to(received)
        if reply.delay and self.server.simulator.closing.wait(reply.delay):
            self.close_connection = True
            return
        endpoint = next((found for end, found in _ENDPOINTS.items() if received.path.endswith(end)), None)
        if endpoint is None:
            self._send_json(404, openai_shapes.error(404, f"the simulator has no {received.path}", ""), {})
        else:
            self._answer(endpoint, received, reply)

    def _receive(self) -> Received:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(content or "{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.partition("?")[0]
        return Received(method=self.command, path=path, headers=headers, body=body if isinstance(body, dict) else {})

    def _answer(self, endpoint: _Endpoint, received: Received, reply: Reply) -> None:
        request_id = f"req_{uuid.uuid4().hex[:24]}"
        # Unique everywhere: the ledger takes two spans with one response id for one request.
        response_id = reply.response_id or f"{endpoint.id_prefix}{uuid.uuid4().hex[:24]}"
        headers = {endpoint.request_id_header: request_id}
        if reply.status != 200:
            headers |= {} if reply.retry_after is None else {"retry-after": f"{reply.retry_after:g}"}
            message = f"scripted by the simulator: {reply.status}"
            self._send_json(reply.status, endpoint.error(reply.status, message, request_id), headers)
            return
        try:
            whole = endpoint.whole(received, reply, response_id)
        except CannotSayError as error:
            self._send_json(400, endpoint.error(400, str(error), request_id), headers)
            return
        if whole.get("object") == "response":
            self.server.simulator.responses[response_id] = whole
        if received.stream and endpoint.stream:
            self._send_stream(endpoint.stream(received, reply, response_id), reply.cut_after, headers)
        else:
            self._send_json(200, whole, headers)

    def _send_json(self, status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> None:
        content = json.dumps(body).encode()
        self._send_head(status, {"content-type": "application/json", "content-length": str(len(content)), **headers})
        self.wfile.write(content)

    def _send_stream(self, events: Iterable[Event], cut_after: int | None, headers: Mapping[str, str]) -> None:
        """Send one chunk per event; a cut stream lacks the closing chunk, so that the caller sees a broken one."""
        kind = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
        self._send_head(200, {**kind, **headers})
        for sent, event in enumerate(events):
            if sent == cut_after:
                self.close_connection = True
                return
            self._send_chunk(_event_bytes(event))
        self._send_chunk(b"")

    def _send_chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: `Simulator.requests` has it all."""


def _event_bytes(event: Event) -> bytes:
    """Write one event: https://html.spec.whatwg.org/multipage/server-sent-events.html ."""
    data = event.data if isinstance(event.data, str) else json.dumps(event.data)
    name = f"event: {event.name}\n" if event.name else ""
    return f"{name}data: {data}\n\n".encode()
