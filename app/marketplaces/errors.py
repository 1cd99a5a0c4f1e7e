"""What a marketplace can do to us, and what to do about it.

    MarketplaceError
    ├── CredentialsRejected    the key is wrong, expired or revoked: stop, tell the seller, never retry
    ├── ScopeMissing           the key is fine and lacks this category: skip the stage, say which box to tick
    ├── RateLimited            too soon: `retry_after` may be hours, so put the run back rather than sleep
    │   ├── ReportNotReady     the marketplace is still making a report that we asked for
    │   └── CircuitOpen        it fails for everybody at present, so nobody asks it for a while
    ├── MethodGone             the method was removed or switched off: an operator must know, the other stages go on
    ├── MarketplaceDown        5xx, resets, time-outs after all attempts: try the whole run later
    └── UnexpectedResponse     the answer has not the documented shape: keep what is there, fail the stage

`detail` is our own sentence in English, `detail_ru` the same for a seller who reads Russian. Of the marketplace's words at most `EXCERPT_LENGTH` characters are kept, in `excerpt`, for the log.
"""

from datetime import timedelta
from math import ceil
from typing import ClassVar

from app.errors import StockTrackerError

EXCERPT_LENGTH = 200


class MarketplaceError(StockTrackerError):
    """A call to a marketplace did not give what it should."""

    status = 502
    code = "marketplace_error"
    title = "Marketplace error"

    def __init__(self, detail: str, *, detail_ru: str = "", excerpt: str = "") -> None:
        super().__init__(detail)
        self.detail_ru = detail_ru
        self.excerpt = excerpt[:EXCERPT_LENGTH]

    def told(self, language: str) -> str:
        """The sentence in the seller's language (ru or en), as far as there is one."""
        return self.detail_ru if language == "ru" and self.detail_ru else self.detail


class CredentialsRejected(MarketplaceError):
    """The marketplace doesn't accept the key, or it can't be one."""

    status = 422
    code = "credentials_rejected"
    title = "Credentials rejected"


class ScopeMissing(MarketplaceError):
    """The key is accepted and not allowed to do this. `scope` is the category or role that the seller has to tick, in the marketplace's words."""

    code = "scope_missing"
    title = "The key lacks a category"

    def __init__(self, detail: str, *, scope: str, detail_ru: str = "", excerpt: str = "") -> None:
        super().__init__(detail, detail_ru=detail_ru, excerpt=excerpt)
        self.scope = scope


def _told(wait_s: float) -> tuple[int, str, str]:
    """A wait as people say it, rounded up."""
    if wait_s < 120:
        return ceil(wait_s), "s", "с"
    if wait_s < 7200:
        return ceil(wait_s / 60), "min", "мин"
    return ceil(wait_s / 3600), "h", "ч"


class RateLimited(MarketplaceError):
    """The marketplace asked for patience: `retry_after` may be hours, so never sleep on a long one."""

    code = "marketplace_rate_limited"
    title = "The marketplace asks for patience"
    sentence: ClassVar[tuple[str, str]] = ("The marketplace asked us to wait {}.", "Маркетплейс просит подождать {}.")

    def __init__(self, retry_after: timedelta, *, excerpt: str = "") -> None:
        english, russian = self.sentence
        count, unit, unit_ru = _told(retry_after.total_seconds())
        super().__init__(english.format(f"{count} {unit}"), detail_ru=russian.format(f"{count} {unit_ru}"), excerpt=excerpt)
        self.retry_after = retry_after


class ReportNotReady(RateLimited):
    """The marketplace is still making the report that we asked for; look again in `retry_after`."""

    code = "marketplace_report_not_ready"
    title = "The marketplace is making a report"
    sentence = ("The marketplace is making a report for us; we look again in {}.", "Маркетплейс готовит отчёт, проверим через {}.")


class CircuitOpen(RateLimited):
    """The marketplace fails for everybody at present, so it is left alone for a while: our own decision, no call was made."""

    code = "marketplace_circuit_open"
    title = "The marketplace is left alone for a while"
    sentence = (
        "The marketplace is out of order for everybody; we try again in {}.",
        "Маркетплейс сейчас не работает ни у кого, попробуем снова через {}.",
    )


class MethodGone(MarketplaceError):
    """The marketplace removed this method, or switched it off for the time being."""

    code = "marketplace_method_gone"
    title = "The marketplace removed a method"


class MarketplaceDown(MarketplaceError):
    """No whole answer, or a server error, at each of our attempts."""

    code = "marketplace_unavailable"
    title = "The marketplace is unavailable"


class UnexpectedResponse(MarketplaceError):
    """The answer isn't what the documentation says."""

    code = "unexpected_response"
    title = "The marketplace answered something undocumented"
