"""From the header of a request to its caller."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from litestar import Request
from litestar.di import Provide
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.roles import Admission, Caller, ServiceCaller
from app.audit.service import caller_address, subject
from app.auth.liveness import admit, is_live
from app.auth.service_keys import is_service_key, verify_service_key, was_right
from app.auth.tokens import VerifiedToken, read_access_token
from app.errors import Unauthenticated
from app.rate_limits.policies import headers_of, refuse_if_full, windows_of_address, windows_of_service, windows_of_tenant
from app.rate_limits.sliding_window import Debit, Window, debit
from app.settings import get_settings

MAX_REMEMBERED: Final = 10_000
"""Verified tokens, about 1 kB each. To verify one takes 65 µs, to find one here less than one."""

MAX_HEADER_BYTES: Final = 4096
"""A token of ours has less than 600."""


class Authentication(ASGIMiddleware):
    """Puts the `Caller` of the request into `scope["user"]`, and the token that says so into `scope["auth"]`, or refuses with 401. Who comes with a service key is a
    `ServiceCaller`.

    A handler with `opt={"public": True}` is for everybody: the header isn't looked at; with `"limit_by_address": True` besides, no address may call it and its like more
    often than RATE_LIMIT_AUTH_PER_MINUTE.
    """

    def __init__(self) -> None:
        self._remembered: dict[bytes, VerifiedToken] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        client = scope["client"]
        address = client[0] if client else None
        caller_address.set(address)
        subject.set(None)
        opt = scope["route_handler"].opt
        if opt.get("public") is True:
            if opt.get("limit_by_address") is True and (windows := windows_of_address(address)):
                _pass(scope, windows, await debit(windows))
        elif (key := _service_key(header := _authorization(scope))) is not None:
            if not was_right(key) and (windows := windows_of_address(address)):
                _pass(scope, windows, await debit(windows))
            service = await verify_service_key(key)
            # Behind the look-up: who merely knows a key's id takes nothing from its bot.
            if windows := windows_of_service(service.service_key_id):
                _pass(scope, windows, await debit(windows))
            scope["user"], scope["auth"] = service, None
            structlog.contextvars.bind_contextvars(service_key_id=service.service_key_id)
        else:
            verified = self._verify(header)
            caller = verified.caller
            windows = windows_of_tenant(caller.tenant_id)
            _pass(scope, windows, await admit(caller, windows))
            scope["user"], scope["auth"] = caller, verified
            structlog.contextvars.bind_contextvars(tenant_id=caller.tenant_id, user_id=caller.user_id)
            if caller.service_key_id is not None:
                subject.set(f"user:{caller.user_id}")
                structlog.contextvars.bind_contextvars(service_key_id=caller.service_key_id)
        await next_app(scope, receive, send)

    def _verify(self, header: bytes) -> VerifiedToken:
        known = self._remembered.get(header)
        if known is not None and time.time() < known.expires_at:
            return known
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer" or len(header) > MAX_HEADER_BYTES:
            raise Unauthenticated("Send an access token as `Authorization: Bearer …`.")
        verified = read_access_token(token.strip().decode("latin-1"), get_settings().jwt_secrets)
        if len(self._remembered) >= MAX_REMEMBERED:
            # The oldest: it is the nearest to its end.
            del self._remembered[next(iter(self._remembered))]
        self._remembered[header] = verified
        return verified


def _pass(scope: Scope, windows: Sequence[Window], debited: Debit) -> None:
    """Say in the answer, whatever it is, what is left.

    Raises:
        TooManyRequests: one of the windows is full.
    """
    scope["state"]["rate_limit_headers"] = headers_of(windows, debited)
    refuse_if_full(debited)


def _authorization(scope: Scope) -> bytes:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        raise Unauthenticated("Send one access token as `Authorization: Bearer …`.")
    return given[0]


def _service_key(header: bytes) -> str | None:
    scheme, _, token = header.partition(b" ")
    text = token.strip().decode("latin-1")
    return text if scheme.lower() == b"bearer" and is_service_key(text) else None


def _service(request: Request[ServiceCaller, Any, Any]) -> object:
    return request.user


def _caller(request: Request[Caller, Any, Any]) -> Caller:
    return request.user


def _tenant_id(request: Request[Caller, Any, Any]) -> object:
    return request.user.tenant_id


def _admission(request: Request[Caller, VerifiedToken, Any]) -> object:
    return Admission(request.auth.expires_at, partial(is_live, request.user))


CALLER_DEPENDENCIES: Final[Mapping[str, Provide]] = {
    "caller": Provide(_caller, sync_to_thread=False),
    "service": Provide(_service, sync_to_thread=False),
    "tenant_id": Provide(_tenant_id, sync_to_thread=False),
    "admission": Provide(_admission, sync_to_thread=False),
}
"""For the application: `caller: NamedDependency[Caller]`, `tenant_id: NamedDependency[UUID]` and `admission: NamedDependency[Admission]` of handlers that name
a role; `service: NamedDependency[ServiceCaller]` of those for services."""
