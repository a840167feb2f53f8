"""The guard: a propagator that passes on to the one it wraps, less the owners that must not go through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final, cast
from urllib.parse import unquote_plus, urlsplit

from opentelemetry import propagate
from opentelemetry.baggage import clear, get_all, remove_baggage, set_baggage
from opentelemetry.context import get_current
from opentelemetry.context.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import SpanKind, get_current_span

from otel_llmcost.attributes import PREFIX
from otel_llmcost.counters import COUNTERS
from otel_llmcost.fence import fenced
from otel_llmcost.ownership import inbound_entries, mark_inbound
from otel_llmcost.propagation.hosts import InternalHosts
from otel_llmcost.settings import Settings

__all__ = ["OwnerGuard", "guard_propagation"]

_HEADER: Final = "baggage"
"""https://www.w3.org/TR/baggage/"""
_HOST_KEYS: Final = ("server.address", "net.peer.name")
_URL_KEYS: Final = ("url.full", "http.url")
"""What HTTP client instrumentations set when a span starts, before they inject: the stable names and those before
https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/."""
_NOTHING_PASSES: Final = cast("Context | None", None)


def guard_propagation(settings: Settings) -> None:
    """
    Put the guard round the global propagator; calling it again replaces the guard, never adds another.

    With `settings.guard_propagation` false, owners leave to any host and only inbound ones are judged. Raises
    `SettingsError` when `settings.internal_hosts` holds something that is no host.
    """
    current = propagate.get_global_textmap()
    propagate.set_global_textmap(OwnerGuard(current.wrapped if isinstance(current, OwnerGuard) else current, settings))


class OwnerGuard(TextMapPropagator):
    """
    Wraps a propagator. Out: owners go to internal hosts only (`owner.withheld` counts carriers without them). In:
    unless `settings.trust_inbound`, `llmcost.*` is taken out of the baggage and mapped keys are marked as a stranger's
    (`owner.inbound_ignored` counts entries). Owners in the context that `extract` is given win over inbound ones.

    Adds no error to those of the wrapped propagator; where it fails itself, no baggage goes through at all.
    """

    def __init__(self, wrapped: TextMapPropagator, settings: Settings) -> None:
        self.wrapped = wrapped
        self._internal = InternalHosts((*settings.internal_hosts, *settings.gateways))
        self._mapped = frozenset(settings.baggage_keys)
        self._withholds = settings.guard_propagation
        self._trusts = settings.trust_inbound

    @property
    def fields(self) -> set[str]:
        """The fields of the wrapped propagator."""
        return self.wrapped.fields

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write what may leave into `carrier`."""
        if self._withholds:
            whole = get_current() if context is None else context
            allowed = self._outgoing(carrier, whole)
            context = clear(whole) if allowed is None else allowed
        self.wrapped.inject(carrier, context, setter=setter)

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Read what may enter from `carrier` into `context`."""
        extracted = cast("Context | None", self.wrapped.extract(carrier, context, getter=getter))
        if extracted is None:  # what an empty CompositePropagator (OTEL_PROPAGATORS=none) makes of no context
            return cast("Context", extracted)
        allowed = self._incoming(carrier, context, extracted, getter)
        return clear(extracted) if allowed is None else allowed

    @fenced("inject", otherwise=_NOTHING_PASSES)
    def _outgoing(self, carrier: object, context: Context) -> Context | None:
        owned = [key for key in get_all(context) if self._is_owner(key)]
        written = _baggage_headers(carrier)
        if not (owned or written) or self._may_receive(carrier, context):
            return context
        self._clean_headers(written, carrier)
        for key in owned:
            context = remove_baggage(key, context)
        if owned:
            COUNTERS.add("owner.withheld")
        return context

    @fenced("extract", otherwise=_NOTHING_PASSES)
    def _incoming(
        self, carrier: Any, context: Context | None, extracted: Context, getter: Getter[Any]
    ) -> Context | None:
        before = get_current() if context is None else context
        strangers = inbound_entries(before)
        known = {key: value for key, value in get_all(before).items() if strangers.get(key) is not value}
        marked: dict[str, object] = {}
        ignored = 0
        for key, value in get_all(extracted).items():
            if not self._is_owner(key) or known.get(key) is value:
                continue
            if context is not None and key in known:
                extracted = set_baggage(key, known[key], extracted)
            elif self._trusts:
                extracted = set_baggage(key, _without_properties(value, key, carrier, getter), extracted)
                continue
            elif key in self._mapped:
                marked[key] = value
            else:
                extracted = remove_baggage(key, extracted)
            ignored += 1
        if ignored:
            COUNTERS.add("owner.inbound_ignored", ignored)
        return mark_inbound(extracted, marked) if marked else extracted

    def _is_owner(self, key: object) -> bool:
        return isinstance(key, str) and (key.startswith(PREFIX) or key in self._mapped)

    def _may_receive(self, carrier: object, context: Context) -> bool:
        """Every name that the host goes by must be internal, and there must be one."""
        hosts = [*_hosts_of_span(context), *_hosts_of_headers(carrier)]
        return bool(hosts) and all(host in self._internal for host in hosts)

    def _clean_headers(self, written: list[str], carrier: object) -> None:
        """Take owners out of headers that are there already: copied by a redirect, or forwarded by the application."""
        headers = cast("MutableMapping[str, object]", carrier)
        for name in written:
            members = str(headers[name]).split(",")
            others = [member for member in members if not self._is_owner(unquote_plus(member.split("=", 1)[0]).strip())]
            if not others:
                del headers[name]
            elif len(others) < len(members):
                headers[name] = ",".join(others)


def _baggage_headers(carrier: object) -> list[str]:
    if not isinstance(carrier, MutableMapping):
        return []
    return [name for name in carrier if isinstance(name, str) and name.lower() == _HEADER]


def _hosts_of_span(context: Context) -> Iterator[object]:
    # Only a CLIENT span names the other side: on a SERVER span the same attributes are our own address.
    span: Any = get_current_span(context)
    attributes = getattr(span, "attributes", None)
    if getattr(span, "kind", None) is not SpanKind.CLIENT or not isinstance(attributes, Mapping):
        return
    for key in _HOST_KEYS:
        if (host := attributes.get(key)) is not None:
            yield host
    for key in _URL_KEYS:
        if (url := attributes.get(key)) is not None:
            yield _host_of_url(url)


def _hosts_of_headers(carrier: object) -> Iterator[object]:
    if isinstance(carrier, Mapping):
        for name, value in carrier.items():
            if isinstance(name, str) and name.lower() == "host":
                yield _host_of_url(f"//{value}") if isinstance(value, str) else None


def _host_of_url(url: object) -> str | None:
    """Give the host, or None where clients may disagree about it: backslashes, several @, a broken port."""
    if not isinstance(url, str) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if parts.netloc.count("@") > 1 else parts.hostname


def _without_properties(value: object, key: str, carrier: Any, getter: Getter[Any]) -> object:
    """
    Give the value without W3C properties (`team=a;source=edge`), which the SDK leaves glued to it.

    A semicolon that belongs to the value was percent-encoded, so the header tells the two apart; without it, cut.
    """
    if not isinstance(value, str) or ";" not in value:
        return value
    found = value.partition(";")[0].rstrip()
    header = next(iter(getter.get(carrier, _HEADER) or ()), None)
    for member in header.split(",") if isinstance(header, str) else ():
        name, _, raw = member.partition("=")
        if unquote_plus(name.strip()).strip() == key:
            found = unquote_plus(raw.partition(";")[0].strip()).strip()
    return found
