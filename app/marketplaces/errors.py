"""What a marketplace can do to us, and what to do about it.

    MarketplaceError
    ├── CredentialsRejected    the key is wrong, expired or revoked: stop, tell the seller, never retry
    ├── ScopeMissing           the key is fine and lacks this category: skip the stage, say which box to tick
    ├── RateLimited            too soon: `retry_after` may be hours, so put the run back rather than sleep
    ├── MethodGone             the method was removed or switched off: an operator must know, the other stages go on
    ├── MarketplaceDown        5xx, resets, time-outs after all attempts: try the whole run later
    └── UnexpectedResponse     the answer has not the documented shape: keep what is there, fail the stage

`detail` is our own sentence. Of the marketplace's words at most `EXCERPT_LENGTH` characters are kept, in `excerpt`, for the log.
"""

from datetime import timedelta

from app.errors import StockTrackerError

EXCERPT_LENGTH = 200


class MarketplaceError(StockTrackerError):
    """A call to a marketplace did not give what it should."""

    status = 502
    code = "marketplace_error"
    title = "Marketplace error"

    def __init__(self, detail: str, *, excerpt: str = "") -> None:
        super().__init__(detail)
        self.excerpt = excerpt[:EXCERPT_LENGTH]


class CredentialsRejected(MarketplaceError):
    """The marketplace doesn't accept the key, or it can't be one."""

    status = 422
    code = "credentials_rejected"
    title = "Credentials rejected"


class ScopeMissing(MarketplaceError):
    """The key is accepted and not allowed to do this. `scope` is the category that the seller has to tick."""

    code = "scope_missing"
    title = "The key lacks a category"

    def __init__(self, detail: str, *, scope: str, excerpt: str = "") -> None:
        super().__init__(detail, excerpt=excerpt)
        self.scope = scope


class RateLimited(MarketplaceError):
    """The marketplace asked for patience: `retry_after` may be hours, so never sleep on a long one."""

    code = "marketplace_rate_limited"
    title = "The marketplace asks for patience"

    def __init__(self, retry_after: timedelta, *, excerpt: str = "") -> None:
        super().__init__(f"The marketplace asked us to wait {retry_after.total_seconds():.0f} s.", excerpt=excerpt)
        self.retry_after = retry_after


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
