"""Which windows a request has to pass, and what its caller is told of them.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` names each window's quota and length, `RateLimit` what is left of the caller's own. The window slides,
so `t`, the time until the whole quota is there again, is its length.
"""

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from app.errors import TooManyRequests
from app.observability import metrics
from app.rate_limits.sliding_window import WINDOW_S, Debit, Window
from app.settings import get_settings

WHOSE = {
    "tenant": "of this tenant",
    "service": "with this service key",
    "address": "from this address",
    "global": "of all callers together",
}


def windows_of_tenant(tenant_id: UUID) -> Sequence[Window]:
    """The caller's own first."""
    settings = get_settings()
    return _own_and_global("tenant", tenant_id, settings.rate_limit_tenant_per_minute, settings.rate_limit_global_per_minute)


def windows_of_service(service_key_id: UUID) -> Sequence[Window]:
    """For what a bot asks with its own key: as much as a tenant may."""
    settings = get_settings()
    return _own_and_global("service", service_key_id, settings.rate_limit_tenant_per_minute, settings.rate_limit_global_per_minute)


@lru_cache(maxsize=4096)
def _own_and_global(policy: str, whose: UUID, own: int, together: int) -> Sequence[Window]:
    return tuple(window for window in (Window(policy, str(whose), own), Window("global", "all", together)) if window.limit)


def windows_of_address(address: str | None) -> Sequence[Window]:
    """For sign-ins and what else needs no token."""
    limit = get_settings().rate_limit_auth_per_minute
    return [Window("address", network_of(address), limit)] if limit else ()


def refuse_if_full(debit: Debit) -> None:
    """Raises:
    TooManyRequests: one of the windows is full.
    """
    if (window := debit.refused_by) is not None:
        metrics.requests_rate_limited.labels(window.policy).inc()
        raise TooManyRequests(
            f"{window.limit} requests {WHOSE[window.policy]} are allowed within {WINDOW_S} s; try again in {debit.retry_after_s} s.",
            timedelta(seconds=debit.retry_after_s),
        )


def headers_of(windows: Sequence[Window], debit: Debit) -> list[tuple[bytes, bytes]]:
    """What each answer says of the windows that its request had to pass."""
    if not windows:
        return []
    quotas = _quotas(tuple((window.policy, window.limit) for window in windows))
    return [(b"ratelimit-policy", quotas), (b"ratelimit", b'"%s";r=%d;t=%d' % (windows[0].policy.encode(), debit.remaining, WINDOW_S))]


@lru_cache(maxsize=64)
def _quotas(policies: tuple[tuple[str, int], ...]) -> bytes:
    return ", ".join(f'"{policy}";q={limit};w={WINDOW_S}' for policy, limit in policies).encode()


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str:
    """What counts as one place: an IPv4 address; of IPv6 a /64, which one household has as a whole (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:  # a Unix socket has no address
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
