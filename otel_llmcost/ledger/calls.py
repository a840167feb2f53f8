"""
One call of the client: it ends in time, and its errors are ours.

Imported by the application side: so neither the client nor its HTTP library is, until there is an error to translate.
"""

from __future__ import annotations

import threading
import time
from typing import ClassVar, Final

from otel_llmcost.errors import LedgerUnavailable
from otel_llmcost.ledger.faults import translate

__all__ = ["Call"]

_DEFAULT_SECONDS: Final = 60.0
_ADVICE: Final = {
    10: "The server's certificate has expired: renew it",
    18: "To trust this certificate, add ?ca_cert=/its/file to the DSN",
    19: "To trust its authority, add ?ca_cert=/its/file to the DSN",
    20: "To trust its authority, add ?ca_cert=/its/file to the DSN",
    62: "Write the name in the DSN that the certificate is for",
    64: "Write the name in the DSN that the certificate is for",
}
"""What to do about a certificate, by OpenSSL's code of what is wrong with it."""


class Call:
    """
    Ends after so many seconds, retries of the client included; leaves a `LedgerError` where the client raises its own.

    `LedgerUnavailable` tells how long the server asked to be left alone.
    """

    _current: ClassVar = threading.local()

    def __init__(self, what: str, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._ends = time.monotonic() + seconds
        self.retry_after_seconds: float | None = None
        """What the last answer said."""

    def __enter__(self) -> None:
        self._current.call = self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._current.call = None
        if error is None:
            return
        from clickhouse_connect.driver.exceptions import Error

        if isinstance(error, Error):
            ours = translate(error, self._what)
            if isinstance(ours, LedgerUnavailable):
                ours = LedgerUnavailable(f"{ours}{_advice(error)}", retry_after_seconds=self.retry_after_seconds)
            raise ours from error

    @classmethod
    def current(cls) -> Call:
        """Give the call that this thread is in."""
        return getattr(cls._current, "call", None) or Call("", _DEFAULT_SECONDS)

    def patience(self, most_seconds: float) -> float:
        """Give the seconds to wait for the next bytes. Raises `TimeoutError` when the call is at its end."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the server was not done within {self._seconds:.0f} s")
        return min(left, most_seconds)


def _advice(error: BaseException) -> str:
    """Say what to do where the error alone does not: about TLS, and a port where nobody listens."""
    import ssl

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f". {_ADVICE.get(seen.verify_code, 'The server needs a certificate that is valid for its host')}"
        if isinstance(seen, ssl.SSLError):
            return ". Does the server speak TLS on that port? For https:// it is 8443 unless the DSN says another"
        if isinstance(seen, ConnectionRefusedError):
            return ". Is the server up, and is the port its HTTP port (8123, for https:// 8443)?"
        seen = seen.__cause__ or seen.__context__
    return ""
