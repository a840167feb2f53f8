"""
What the environment variables of this process say: settings, sampler and propagators.

What a program sets in code cannot be seen from outside; so run the doctor where, and with what, the application runs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Final

from otel_llmcost.dialects.start import START_NAMES, is_genai_at_start
from otel_llmcost.doctor.finding import Finding
from otel_llmcost.errors import LLMCostError
from otel_llmcost.ledger import parse_dsn
from otel_llmcost.ownership import OwnerReader
from otel_llmcost.pricing.reading import read_card
from otel_llmcost.propagation.hosts import InternalHosts
from otel_llmcost.settings import PREFIX, Settings

__all__ = ["propagator_findings", "sampler_findings", "settings_findings", "usable_settings", "wrong_settings"]

Environ = Mapping[str, str]

_NAMES: Final = {PREFIX + field.name.upper() for field in fields(Settings)}
_CHECKS: Final[Mapping[str, Callable[[Settings], object]]] = {
    f"{PREFIX}DSN": lambda settings: parse_dsn(settings.ledger_dsn()),
    f"{PREFIX}RATE_CARDS": lambda settings: [read_card(card) for card in settings.rate_cards],
    f"{PREFIX}BAGGAGE_KEYS": OwnerReader,
    f"{PREFIX}INTERNAL_HOSTS": lambda settings: InternalHosts(settings.internal_hosts),
    f"{PREFIX}GATEWAYS": lambda settings: InternalHosts(settings.gateways),
}
"""Settings whose content is read later than the setting itself."""
_SETTINGS_LINK: Final = "README.md#settings"
_SAMPLING_LINK: Final = "docs/zero-code.md#sampling"


def usable_settings(environ: Environ, dsn: str | None = None) -> Settings:
    """Give the settings without those that are wrong; `dsn` wins over the environment's."""
    wrong = wrong_settings(environ)
    usable = {name: value for name, value in environ.items() if name not in wrong}
    return Settings.from_env(usable, dsn=dsn)


def wrong_settings(environ: Environ) -> dict[str, LLMCostError]:
    """Give the settings that are wrong, each with what is wrong with it."""
    return dict(_wrong(environ))


def settings_findings(environ: Environ) -> Iterator[Finding]:
    """Name every setting that is wrong, and every variable that looks like a setting and is none."""
    wrong = wrong_settings(environ)
    for name, error in wrong.items():
        yield Finding(severity="problem", subject=name, what=str(error), fix=f"Correct {name}.", link=_SETTINGS_LINK)
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in _NAMES)
    for name in unknown:
        close = difflib.get_close_matches(name, sorted(_NAMES), 1)
        fix = f"Did you mean {close[0]}?" if close else f"There are {', '.join(sorted(_NAMES))}."
        yield Finding(severity="warning", subject=name, what="no setting has this name", fix=fix, link=_SETTINGS_LINK)
    if environ.get("ANTHROPIC_OPEN_TELEMETRY", "").strip().lower() in ("false", "0", "no"):
        yield Finding(
            severity="warning",
            subject="ANTHROPIC_OPEN_TELEMETRY",
            what="the anthropic package's own spans are off: unlike most, they split cache writes by lifetime",
            fix="Unset it: other instrumentations beside it never make a second charge.",
        )
    if not wrong and not unknown:
        used = sum(name in environ for name in _NAMES)
        yield Finding(severity="ok", subject="settings", what=f"{used} set by the environment, none of them wrong")


def _wrong(environ: Environ) -> Iterator[tuple[str, LLMCostError]]:
    for name in sorted(_NAMES & environ.keys()):
        try:
            settings = Settings.from_env({name: environ[name]})
            if check := _CHECKS.get(name):
                check(settings)
        except LLMCostError as error:
            yield name, error


_ALL: Final = frozenset({"always_on"})
_ALL_OF_PARENTS: Final = frozenset({"", "parentbased_always_on"})
_RATIOS: Final = frozenset({"traceidratio", "parentbased_traceidratio"})
_LLMCOST: Final = (
    "Set OTEL_TRACES_SAMPLER=llmcost, with the same OTEL_TRACES_SAMPLER_ARG: what is exported stays the same."
)
_WRAP: Final = (
    "Set the processor up by otel_llmcost.configure() or zero code: they wrap this sampler, and what is exported stays "
    "the same."
)
_OFF: Final = frozenset({"always_off", "parentbased_always_off"})


def sampler_findings(environ: Environ, scopes: Iterable[str], settings: Settings) -> Iterator[Finding]:
    """
    Tell what the environment's sampler drops, and which emitters that touches.

    Args:
        scopes: instrumentations that are known to write spans here.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding(
            severity="problem",
            subject="OTEL_SDK_DISABLED",
            what="OpenTelemetry is switched off: there are no spans, and no charges",
            fix="Unset OTEL_SDK_DISABLED.",
        )
    if environ.get("OTEL_CONFIG_FILE", "").strip():
        what = f"{environ['OTEL_CONFIG_FILE']} decides, in place of OTEL_TRACES_SAMPLER: it was not read"
        yield Finding(severity="ok", subject="sampler", what=what, link=_SAMPLING_LINK)
        return
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    dropped = _dropped(sampler, environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip())
    if sampler == "llmcost" or settings.record_all or not dropped:
        yield Finding(severity="ok", subject="sampler", what=_why_nothing_is_lost(sampler, settings))
        if sampler != "llmcost" or settings.record_all:
            return
    written = sorted(set(scopes))
    known = [scope for scope in written if _is_known_at_start(scope)]
    unknown = [scope or "(no scope)" for scope in written if not _is_known_at_start(scope)]
    if dropped and sampler != "llmcost":
        yield Finding(
            severity="warning",
            subject=f"sampler {sampler}",
            what=f"it drops {dropped}. Requests in them are charged only where otel_llmcost.configure() or zero code set "
            f"the processor up, and only those that are known when a span starts: {', '.join(known) or 'none seen here'}",
            fix=_LLMCOST if sampler == "parentbased_traceidratio" else _WRAP,
            link=_SAMPLING_LINK,
        )
    if unknown:
        yield Finding(
            severity="warning",
            subject="OTEL_LLMCOST_RECORD_ALL",
            what=f"not known at span start by their scope: {', '.join(unknown)}. Their dropped requests are lost, "
            "but for spans that start with gen_ai attributes",
            fix="Set OTEL_LLMCOST_RECORD_ALL=true: every span is recorded, what is exported stays the same.",
            link=_SAMPLING_LINK,
        )


def _dropped(sampler: str, argument: str) -> str:
    """Say what a sampler drops; "" for nothing that is known."""
    if sampler in _OFF:
        return "every trace" if sampler == "always_off" else "every trace that begins here"
    if sampler in _RATIOS:
        try:
            ratio = float(argument)
        except ValueError:
            return ""  # the SDK falls back to 1.0
        return f"{100 * (1 - ratio):.4g} % of all traces" if 0 <= ratio < 1 else ""
    return "" if sampler in _ALL | _ALL_OF_PARENTS | {"llmcost"} else "what it decides, which is not known here"


def _why_nothing_is_lost(sampler: str, settings: Settings) -> str:
    if settings.record_all:
        return "OTEL_LLMCOST_RECORD_ALL: whatever it drops is recorded and charged"
    if sampler == "llmcost":
        return "llmcost: GenAI spans of dropped traces are recorded and charged"
    if sampler in _ALL_OF_PARENTS:
        return "by environment, drops only what a calling service dropped; one that is set in code cannot be seen here"
    return f"{sampler} drops nothing"


def _is_known_at_start(scope: str) -> bool:
    return is_genai_at_start("", "internal", None, scope) or any(known == scope for known, _, _ in START_NAMES if known)


def propagator_findings(environ: Environ, settings: Settings) -> Iterator[Finding]:
    """Tell whether owners reach one's own services, and nobody else."""
    if environ.get("OTEL_CONFIG_FILE", "").strip():
        return
    text = environ.get("OTEL_PROPAGATORS", "tracecontext,baggage")
    names = [name.strip() for name in text.split(",") if name.strip()]
    installed = {entry.name for entry in entry_points(group="opentelemetry_propagator")}
    if missing := [name for name in names if name not in installed and name != "none"]:
        yield Finding(
            severity="problem",
            subject="OTEL_PROPAGATORS",
            what=f"{', '.join(missing)} is not installed here: OpenTelemetry cannot be imported, the process stops",
            fix=f"Install what brings it, or take it out. There are {', '.join(sorted(installed))}.",
        )
        return
    if "llmcost_baggage" not in names and "baggage" not in names:
        yield Finding(
            severity="warning",
            subject="OTEL_PROPAGATORS",
            what=f"{text or 'none'} holds no baggage: the owner set in one service is not on requests of the next",
            fix="Set OTEL_PROPAGATORS=tracecontext,llmcost_baggage.",
        )
    elif "baggage" in names and not settings.guard_propagation:
        yield Finding(
            severity="problem",
            subject="OTEL_LLMCOST_GUARD_PROPAGATION",
            what="with the guard off, the propagator baggage sends owners, customers among them, to model providers",
            fix="Unset OTEL_LLMCOST_GUARD_PROPAGATION, or set OTEL_PROPAGATORS=tracecontext,llmcost_baggage.",
        )
    else:
        guard = "llmcost_baggage" if "baggage" not in names else "baggage, behind the processor's guard"
        yield Finding(severity="ok", subject="propagators", what=f"{guard}: owners go to internal hosts only")
