"""Reading an owner back: from the baggage of a span's context, its attributes and its resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar, cast

from opentelemetry.baggage import get_all, get_baggage
from opentelemetry.context import create_key, get_value, set_value
from opentelemetry.context.context import Context

from otel_llmcost.attributes import OWNER_ATTRIBUTES, PREFIX
from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import SettingsError
from otel_llmcost.model import NO_OWNER, Owner, maker
from otel_llmcost.ownership.attribution import ATTEMPTS
from otel_llmcost.ownership.hashing import OwnerHash
from otel_llmcost.ownership.values import MAX_READ, clean_value, is_extra_name, plain_text
from otel_llmcost.settings import Settings

__all__ = ["MAX_EXTRA", "OVERFLOW", "OwnerReader", "inbound_entries", "mark_inbound"]

K = TypeVar("K")
V = TypeVar("V")

MAX_EXTRA: Final = 8
"""Extra owner keys kept on one request; further ones are counted in `owner.extra_dropped`."""
OVERFLOW: Final = "(overflow)"
"""Stored for a team, feature, environment or action beyond `Settings.max_owner_values`."""

_ATTEMPT_KEY: Final = PREFIX + "attempt"
_MAX_CACHED: Final = 4096
_MAX_RESOURCES: Final = 256

_FIELDS: Final = tuple(OWNER_ATTRIBUTES)
_ATTRIBUTE_KEYS: Final = tuple(OWNER_ATTRIBUTES.values())
_ATTRIBUTE_NAMES: Final = frozenset(_ATTRIBUTE_KEYS)
_SLOTS: Final = {key: slot for slot, key in enumerate(_ATTRIBUTE_KEYS)}
_ENVIRONMENT: Final = _FIELDS.index("environment")
_CAPPED: Final = tuple(_FIELDS.index(name) for name in ("team", "feature", "environment", "action"))
_ENVIRONMENT_KEYS: Final = ("deployment.environment.name", "deployment.environment")
"""https://opentelemetry.io/docs/specs/semconv/resource/deployment-environment/ and its name before version 1.27."""
_SOURCES: Final = tuple(
    "+".join(name for bit, name in enumerate(("baggage", "attributes", "resource")) if bits >> bit & 1)
    for bits in range(8)
)

_INBOUND: Final = create_key("llmcost-inbound")
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_UNSEEN: Final = object()
_Defaults: TypeAlias = tuple[tuple[tuple[int, str], ...], tuple[tuple[str, str], ...]]
"""What a resource says: values by the place of their field, and extra keys."""
_new_owner: Final = maker(Owner)
_NO_CONTEXT: Final = Context()


def mark_inbound(context: Context, entries: Mapping[str, object]) -> Context:
    """
    Remember that these baggage entries (key -> the very value object) arrived from an untrusted caller.

    They stay readable for the application, which may route by them; only `OwnerReader` passes over them. A value that
    the process sets itself is another object, and counts (but for one-character text, which Python keeps only once:
    set `llmcost.*`, as `attributed` does, and it counts whatever it is).
    """
    return set_value(_INBOUND, {**inbound_entries(context), **entries}, context)


def inbound_entries(context: Context | None) -> Mapping[str, object]:
    """Give what `mark_inbound` remembered in `context` (None: the current one)."""
    return cast("Mapping[str, object]", get_value(_INBOUND, context) or _NOTHING)


class OwnerReader:
    """
    Reads the owner of a span: baggage first, then attributes that another processor left on the span, then the
    resource. Safe to share between threads; every table is bounded.

    Distinct teams, features, environments and actions are capped at `settings.max_owner_values` for the life of the
    process (threads that meet the cap at the same instant may each add one). Raises `SettingsError` when
    `settings.baggage_keys` maps to a name that cannot be an owner key, or the key of `settings.hash_key_file` is no good.
    """

    def __init__(self, settings: Settings) -> None:
        self._mapped = {key: _target(key, name) for key, name in settings.baggage_keys.items()}
        self.hash = OwnerHash.from_settings(settings)
        """What replaces the values of `settings.hash_keys`, in every owner given here."""
        self._max_values = settings.max_owner_values
        self._admitted: dict[int, set[str]] = {slot: set() for slot in _CAPPED}
        self._cleaned: dict[str, str | None] = {}
        self._owners: dict[object, tuple[Owner, int]] = {}
        self._repeated: dict[object, Owner] = {}
        """Owners by the very baggage that gave them, so that the next span under it costs one look-up."""
        self._defaults: dict[int, tuple[Mapping[str, object], _Defaults]] = {}

    def read(
        self,
        context: Context | None,
        resource: Mapping[str, object],
        attributes: Mapping[str, object] = _NOTHING,
    ) -> Owner:
        """
        Give the owner of a span that was started in `context` (None: the current one). Never raises on what it reads.

        `resource` is taken as immutable, as OpenTelemetry's is: its defaults are read once.
        """
        entries = get_all(context)
        if not _ATTRIBUTE_NAMES.isdisjoint(attributes) or (self._mapped and inbound_entries(context)):
            return self._compose(entries, context, resource, attributes)
        defaults = self._defaults_of(resource)
        key = (tuple(entries.items()), defaults)
        try:
            known = self._repeated.get(key)
        except TypeError:  # a value that cannot be part of a key
            return self._compose(entries, context, resource, attributes)
        if known is None:
            known = self._compose(entries, context, resource, attributes)
            room = MAX_EXTRA - len(defaults[1])
            if _is_plain(entries, room) and OVERFLOW not in (
                known.team,
                known.feature,
                known.environment,
                known.action,
            ):
                _keep(self._repeated, key, known, _MAX_CACHED)
        return known

    def _compose(
        self,
        entries: Mapping[str, object],
        context: Context | None,
        resource: Mapping[str, object],
        attributes: Mapping[str, object],
    ) -> Owner:
        values: list[str | None] = [None] * len(_FIELDS)
        extra: dict[str, str] = {}
        bits = 0
        if entries:
            extra = self._read_baggage(entries, context, values)
            if extra or values.count(None) < len(values):
                bits = 1
        if not _ATTRIBUTE_NAMES.isdisjoint(attributes):
            for slot, key in enumerate(_ATTRIBUTE_KEYS):
                if values[slot] is None and (value := attributes.get(key)) is not None:
                    values[slot] = self._clean(value)
                    bits |= 2 if values[slot] else 0
        return self._with_defaults(values, extra, bits, resource)

    def read_copied(self, resource: Mapping[str, object], attributes: Mapping[str, object]) -> Owner:
        """
        Give the owner of a span of another process, whose SDK copied baggage onto it: `llmcost.*`, keys of your own
        and mapped ones count among its attributes. Never raises on what it reads.
        """
        copied = {key: value for key, value in attributes.items() if key.startswith(PREFIX) or key in self._mapped}
        values: list[str | None] = [None] * len(_FIELDS)
        extra = self._read_baggage(copied, _NO_CONTEXT, values) if copied else {}
        return self._with_defaults(values, extra, 2 if extra or any(values) else 0, resource)

    def _with_defaults(
        self, values: list[str | None], extra: dict[str, str], bits: int, resource: Mapping[str, object]
    ) -> Owner:
        fields, named = self._defaults_of(resource)
        for slot, default in fields:
            if values[slot] is None:
                values[slot] = default
                bits |= 4
        own = len(extra)
        for name, default in named:
            extra.setdefault(name, default)
        if own < min(len(extra), MAX_EXTRA):
            bits |= 4
        if len(extra) > MAX_EXTRA:
            COUNTERS.add("owner.extra_dropped", len(extra) - MAX_EXTRA)
        return self._finished(values, tuple(extra.items())[:MAX_EXTRA], bits)

    def _finished(self, values: list[str | None], extra: tuple[tuple[str, str], ...], bits: int) -> Owner:
        if not bits:
            return NO_OWNER
        if self.hash.names:
            extra = self._hashed(values, extra)
        owner, overflowed = self._owner(values, extra, bits)
        if overflowed:
            COUNTERS.add("owner.overflow", overflowed)
        return owner

    def hashed(self, owner: Owner) -> Owner:
        """Hash what an owner that was read elsewhere, off a span that was priced at its source, still says plainly."""
        if not self.hash.names:
            return owner
        plain = {name: getattr(owner, name) for name in self.hash.names.intersection(_FIELDS)}
        extra = {name: self.hash.of(name, value) for name, value in owner.extra.items()}
        return replace(
            owner, extra=extra, **{name: self.hash.of(name, value) for name, value in plain.items() if value}
        )

    def _hashed(self, values: list[str | None], extra: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for slot, name in enumerate(_FIELDS):
            if (value := values[slot]) is not None:
                values[slot] = self.hash.of(name, value)
        return tuple((name, self.hash.of(name, value)) for name, value in extra)

    @staticmethod
    def declared_attempt(context: Context | None) -> str | None:
        """Give the attempt that `attributed(attempt=...)` declared: initial, retry, fallback, or None."""
        declared = get_baggage(_ATTEMPT_KEY, context)
        return declared if isinstance(declared, str) and declared in ATTEMPTS else None

    def _read_baggage(
        self, entries: Mapping[str, object], context: Context | None, values: list[str | None]
    ) -> dict[str, str]:
        extra: dict[str, str] = {}
        for key, value in entries.items():
            if (slot := _SLOTS.get(key)) is not None:
                values[slot] = self._clean(value)
            elif (name := _extra_of(key)) and (text := self._clean(value)):
                extra[name] = text
        if self._mapped:
            self._read_mapped(entries, context, values, extra)
        return extra

    def _read_mapped(
        self, entries: Mapping[str, object], context: Context | None, values: list[str | None], extra: dict[str, str]
    ) -> None:
        inbound = inbound_entries(context)
        for key, target in self._mapped.items():
            if (value := entries.get(key)) is None or inbound.get(key) is value:
                continue
            if isinstance(target, int):
                values[target] = values[target] or self._clean(value)
            elif text := self._clean(value):
                extra.setdefault(target, text)

    def _defaults_of(self, resource: Mapping[str, object]) -> _Defaults:
        # By id, because a mapping has no hash; the entry holds the resource, so that its id is not given to another.
        if (known := self._defaults.get(id(resource))) is not None:
            return known[1]
        found = [self._clean(resource.get(key)) for key in _ATTRIBUTE_KEYS]
        extra: dict[str, str] = {}
        for key, value in resource.items():
            if (name := _extra_of(key)) and (text := self._clean(value)):
                extra[name] = text
        for key in _ENVIRONMENT_KEYS:
            found[_ENVIRONMENT] = found[_ENVIRONMENT] or self._clean(resource.get(key))
        if self._mapped:
            self._read_mapped(resource, _NO_CONTEXT, found, extra)
        fields = tuple((slot, value) for slot, value in enumerate(found) if value is not None)
        defaults = fields, tuple(extra.items())
        _keep(self._defaults, id(resource), (resource, defaults), _MAX_RESOURCES)
        return defaults

    def _clean(self, value: object) -> str | None:
        if value is None:
            return None
        if (text := value if type(value) is str else plain_text(value)) is None:
            COUNTERS.add("owner.ignored")
            return None
        if len(text) > MAX_READ:
            text = text[:MAX_READ]
        cleaned = self._cleaned.get(text, _UNSEEN)
        if cleaned is _UNSEEN:
            cleaned = clean_value(text)
            _keep(self._cleaned, text, cleaned, _MAX_CACHED)
        return cast("str | None", cleaned)

    def _owner(self, values: list[str | None], extra: tuple[tuple[str, str], ...], bits: int) -> tuple[Owner, int]:
        """Give the owner and how many of its values overflowed; a value once admitted or refused stays so."""
        key = (*values, extra, bits)
        known = self._owners.get(key)
        if known is None:
            overflowed = 0
            for slot in _CAPPED:
                if (value := values[slot]) is not None and not self._admit(slot, value):
                    values[slot] = OVERFLOW
                    overflowed += 1
            fields = dict(zip(_FIELDS, values, strict=True))
            known = _new_owner(**fields, extra=dict(extra), source=_SOURCES[bits]), overflowed
            _keep(self._owners, key, known, _MAX_CACHED)
        return known

    def _admit(self, slot: int, value: str) -> bool:
        admitted = self._admitted[slot]
        if value in admitted:
            return True
        # No lock: one that another thread holds during a fork would never be released in the child.
        if len(admitted) >= self._max_values:
            return False
        admitted.add(value)
        return True


def _target(key: str, name: str) -> int | str:
    """Give the place of an owner field, or the name of an extra key."""
    if name in OWNER_ATTRIBUTES:
        return _SLOTS[OWNER_ATTRIBUTES[name]]
    if not is_extra_name(name):
        raise SettingsError(
            f"OTEL_LLMCOST_BAGGAGE_KEYS maps {key!r} to {name!r}: use one of {', '.join(OWNER_ATTRIBUTES)}, or a"
            f" lower-case name of your own"
        )
    return name


def _is_plain(entries: Mapping[str, object], room: int) -> bool:
    """Tell that nothing of the baggage is counted or cut, and that it is text alone: True equals 1, but is not its text."""
    return len(entries) <= room and all(
        type(text) is str and len(text) <= MAX_READ for entry in entries.items() for text in entry
    )


def _extra_of(key: object) -> str | None:
    if isinstance(key, str) and key.startswith(PREFIX) and is_extra_name(name := key[len(PREFIX) :]):
        return name
    return None


def _keep(table: dict[K, V], key: K, value: V, most: int) -> None:
    # Emptied when full: simpler than a queue of uses, without a lock, and filled again within the next requests.
    if len(table) >= most:
        table.clear()
    table[key] = value
