"""The propagator `llmcost_baggage`: W3C baggage behind the guard, for `OTEL_PROPAGATORS` and configuration files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from opentelemetry.baggage.propagation import W3CBaggagePropagator
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

from otel_llmcost.errors import SettingsError
from otel_llmcost.propagation.guard import OwnerGuard
from otel_llmcost.settings import Settings

__all__ = ["OwnerBaggagePropagator"]

_logger: Final = logging.getLogger("otel_llmcost")


class OwnerBaggagePropagator(OwnerGuard):
    """
    In place of `baggage`, for processes without our processor: `OTEL_PROPAGATORS=tracecontext,llmcost_baggage`.

    It is made while `opentelemetry.propagate` is imported, where an error would stop the process: a wrong setting is
    logged, and no baggage passes.

    Args:
        internal_hosts: further hosts that may receive owners; default `OTEL_LLMCOST_INTERNAL_HOSTS`.
        trust_inbound: count owners that arrive; default `OTEL_LLMCOST_TRUST_INBOUND`.
    """

    def __init__(self, internal_hosts: Sequence[str] | None = None, trust_inbound: bool | None = None) -> None:
        hosts = None if internal_hosts is None else tuple(internal_hosts)
        try:
            settings = Settings.from_env(internal_hosts=hosts, trust_inbound=trust_inbound)
            super().__init__(W3CBaggagePropagator(), settings)
        except SettingsError as error:
            _logger.error("otel-llmcost lets no baggage through: %s", error)  # noqa: TRY400  # the message says it all
            super().__init__(_NoBaggage(), Settings())


class _NoBaggage(TextMapPropagator):
    """Passes nothing on, out or in."""

    @property
    def fields(self) -> set[str]:
        return set()

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        pass

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return get_current() if context is None else context
