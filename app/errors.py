"""What can go wrong, and what the caller is told.

Each class maps to one problem document (RFC 9457): `status`, `code` and `title` stand on the class, `detail` on the instance.
The subjects add their own leaves beside their use:

    StockTrackerError                 500  internal_error
    ├── InvalidInput                  422  validation_failed           names the fields
    │   ├── CurrentPasswordWrong      422  current_password_wrong      app.auth.password_change
    │   └── KeysRejected              422  credentials_rejected        app.credentials.verification
    ├── Unauthenticated               401  not_authenticated
    │   ├── InvalidCredentials        401  invalid_credentials         app.auth.service
    │   ├── RefreshTokenInvalid …     401  refresh_token_…             app.auth.sessions
    │   ├── InitDataInvalid …         401  init_data_…                 app.auth.init_data, app.auth.telegram
    ├── Forbidden                     403  forbidden
    ├── NotFound                      404  not_found                   also: it belongs to another tenant
    │   ├── UserUnknown               404  user_unknown                app.auth.members
    │   └── TelegramUserUnknown       404  telegram_user_unknown       app.auth.telegram
    ├── Conflict                      409  conflict
    │   ├── EmailTaken                409  email_taken                 app.auth.service
    │   ├── PasswordNotSet            409  password_not_set            app.auth.password_change
    │   ├── AlreadyMember             409  already_member              app.auth.members
    │   ├── LastOwner                 409  last_owner                  app.auth.members
    │   ├── TooManyTenants            409  too_many_tenants            app.auth.tenancies
    │   ├── ServiceKeyExists          409  service_key_exists          app.auth.service_keys
    │   ├── TelegramNotConfigured     409  telegram_not_configured     app.auth.telegram
    │   ├── IdempotencyKeyReused …    409  idempotency_…               app.api.idempotency_key
    │   ├── ExportRunning             409  export_running              app.tenant_data.export
    │   ├── CredentialsMissing        409  credentials_missing         there is no key for that marketplace yet
    │   └── SyncAlreadyFinished       409  sync_already_finished       app.sync.cancel
    ├── Unavailable                   503  unavailable
    │   └── StreamsExhausted          503  streams_exhausted           app.runs.progress
    ├── TooManyRequests               429  rate_limited                app.rate_limits.policies
    ├── TooManyStreams                429  too_many_streams            app.runs.progress
    ├── MarketplaceError              502  marketplace_error           app.marketplaces.errors: the whole tree
    ├── CredentialsUnreadable         500  credentials_unreadable      app.vault
    └── StartRefused                                                   the process can't start: one line, exit code 2
"""

from datetime import timedelta
from typing import ClassVar

import msgspec


class StockTrackerError(Exception):
    """The root of our errors. `detail` is a sentence for the caller; it never holds a secret, SQL or another tenant's id."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: `field` is a path such as `sizes[0].name`, or empty for the whole body."""

    field: str
    message: str


class InvalidInput(StockTrackerError):
    """The request was understood and is wrong."""

    status = 422
    code = "validation_failed"
    title = "Invalid input"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class Unauthenticated(StockTrackerError):
    """No valid token came with the request."""

    status = 401
    code = "not_authenticated"
    title = "Not authenticated"


class Forbidden(StockTrackerError):
    """The caller is known and may not do this."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class NotFound(StockTrackerError):
    """There is no such thing, or it belongs to another tenant: the two look the same."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(StockTrackerError):
    """The request is fine and the present state is against it."""

    status = 409
    code = "conflict"
    title = "Conflict"


class CredentialsMissing(Conflict):
    """The tenant has no key for this marketplace; the seller gives one first."""

    code = "credentials_missing"
    title = "Credentials missing"


class TooManyRequests(StockTrackerError):
    """More requests came than this caller, or all callers together, may send within a minute. `Retry-After` says when there is room again."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, detail: str, retry_after: timedelta = timedelta(seconds=60)) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(StockTrackerError):
    """Something that we depend on does not answer; the same request may succeed later."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"


class StartRefused(StockTrackerError):
    """The process can't start as it is configured. The command prints `detail` as one line and exits with code 2."""

    code = "start_refused"
    title = "Start refused"
