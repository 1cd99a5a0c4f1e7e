"""Where a webhook may go: nobody reaches through us what they could not reach themselves.

A tenant chooses the URL, so each connection is a request that a stranger makes from inside our network. `check_url` is for a prompt answer when an
endpoint is created; the wall is app.webhooks.transport, which asks the same policy for the addresses of each connection.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpx
import msgspec

from app.errors import StockTrackerError, Unavailable
from app.settings import Network

Address = IPv4Address | IPv6Address

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → the addresses of the name, best first. Raises socket.gaierror where there are none."""

MAX_URL_LENGTH: Final = 2_000
LOOKUP_TIMEOUT_S: Final = 5.0

NAT64: Final = IPv6Network("64:ff9b::/96")
"""An IPv4 address in its last 32 bits, which a gateway connects to (RFC 6052): the only way to the IPv4 internet from some networks."""

GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA gives out of IPv6 (https://www.iana.org/assignments/ipv6-address-space)."""


def _networks(*networks: str) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in networks)


METADATA: Final = _networks(
    # 169.254.169.254 and its kind are link-local, which is never allowed either.
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure, the host's own server, in public space
    "192.0.0.192/32",  # Oracle Cloud Classic
    "fd00:ec2::/32",  # AWS: metadata, EKS Pod Identity, DNS, time
    "fd20:ce::254/128",  # Google Cloud
    "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
    "fd00:42::42/128",  # Scaleway
    "fd00:a9fe:a9fe::1/128",  # Akamai
    "fd00:100::100:200/128",  # Alibaba Cloud
)
"""Where a cloud's machine asks for its own keys. Barred even when the private network around them is allowed."""

NEVER: Final = (
    *METADATA,
    *_networks(
        "0.0.0.0/8",  # this host
        "169.254.0.0/16",  # link-local
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
        # Forms that carry an IPv4 address and lead elsewhere than they look. The internet has given them up (RFC 7526 for 6to4) or never had them.
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b:1::/48",  # NAT64 of a network's own, where the address may stand at several places (RFC 8215)
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
    ),
    # Unspecified, and IPv4-compatible: all of ::/96 but the loopback address, which may be allowed.
    *IPv6Network("::/96").address_exclude(IPv6Network("::1/128")),
)
"""No setting opens these."""

SPECIAL: Final = _networks(
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by a provider's customers (CGNAT)
    "127.0.0.0/8",  # loopback
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "2001::/23",  # protocol assignments
    "2001:db8::/32",  # documentation
    "3fff::/20",  # documentation
)
"""What is not the public internet, unless allowed (https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 sister).

A list of our own, since `ipaddress.is_global` changes with Python's version and takes 64:ff9b::7f00:1 for global. In IPv6 it only needs what lies
in GLOBAL_UNICAST.
"""

# A lookup can't be stopped and may hang for half a minute on a dead server, so it must not take the threads that all others share.
_lookups = ThreadPoolExecutor(max_workers=32, thread_name_prefix="webhook-lookup")

# Service names of Docker Compose may have underscores.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class DestinationBarred(StockTrackerError):
    """Webhooks may not be sent to this URL. It is the caller's to change; trying again changes nothing."""

    status = 422
    code = "destination_barred"
    title = "Destination barred"


class Zone(Enum):
    """`ALLOWED` by the operator, who thereby vouches for plain http too."""

    PUBLIC = "public"
    ALLOWED = "allowed"
    BARRED = "barred"


def zone_of(address: Address, allowed_networks: Iterable[Network]) -> Zone:
    """Where a connection to this address would arrive."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    # What the operator allowed is here; behind a gateway the same numbers are another network.
    arrives_at = IPv4Address(int(address) & 0xFFFF_FFFF) if address in NAT64 else address
    if _within(arrives_at, NEVER):
        return Zone.BARRED
    if _within(address, allowed_networks):
        return Zone.ALLOWED
    if _within(arrives_at, SPECIAL) or (isinstance(arrives_at, IPv6Address) and arrives_at not in GLOBAL_UNICAST):
        return Zone.BARRED
    return Zone.PUBLIC


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in its order of preference (RFC 6724)."""
    # As bytes: a text would be encoded by Python's IDNA of 2003, and httpx has encoded it by that of 2008.
    name = host.encode("ascii")
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_lookups, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    return [str(sockaddr[0]) for *_, sockaddr in found]


class DestinationPolicy(msgspec.Struct, frozen=True):
    """What is allowed beyond the public internet, and who resolves names."""

    allowed_networks: tuple[Network, ...] = ()
    resolve: Resolver = resolve_by_system

    async def addresses(self, host: str, port: int, *, plain: bool) -> Sequence[Address]:
        """The addresses that a connection may be made to; `plain` is without TLS.

        Raises:
            DestinationBarred: an address may not be reached. One is enough: a name that leads to public and internal addresses is no accident,
                and which of them answers should not depend on luck.
            socket.gaierror: the name has no address, or nobody could say.
        """
        try:
            addresses = [ip_address(host)]
        except ValueError:
            addresses = [ip_address(address) for address in await self.resolve(host, port)]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "The name has no address.")
        zones = {zone_of(address, self.allowed_networks) for address in addresses}
        if Zone.BARRED in zones or (plain and Zone.PUBLIC in zones):
            raise _unreachable(host, plain=plain)
        return addresses


def _unreachable(host: str, *, plain: bool) -> DestinationBarred:
    # The same for a name that does not exist and one that leads inside: else we would tell which internal names there are.
    if plain:
        return DestinationBarred(
            "The URL must begin with https://. Plain http is only for networks that the operator of this service allowed."
        )
    return DestinationBarred(
        f"Webhooks can't be sent to {host}: the name must exist, and each of its addresses must be on the public internet."
    )


def parse_url(url: str) -> httpx.URL:
    """Read a destination, with its host in ASCII (Punycode).

    Raises:
        DestinationBarred: it is no http(s) URL that a webhook can be sent to. The sentence says why.
    """
    if len(url) > MAX_URL_LENGTH:
        raise DestinationBarred(f"The URL is longer than {MAX_URL_LENGTH:,} characters.")
    if _BLANK_OR_CONTROL.search(url):
        raise DestinationBarred("The URL holds a blank or a control character.")
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise DestinationBarred("This is no valid URL.") from None
    if target.scheme not in {"https", "http"}:
        raise DestinationBarred("The URL must begin with https://.")
    if target.userinfo:
        raise DestinationBarred("The URL may not hold a user name or a password.")
    if "#" in url:
        raise DestinationBarred("The URL may not have a fragment (#…): it is never sent.")
    if target.port is not None and not 1 <= target.port <= 65535:
        raise DestinationBarred("The URL's port must be from 1 to 65535.")
    if not _is_host(target.raw_host.decode("ascii")):
        raise DestinationBarred("The URL's host must be a plain name, or an address in its usual form.")
    return target


def _is_host(host: str) -> bool:
    """Whether it is an IP address in its one usual form, or a name that can't be mistaken for one: resolvers take 127.1 and 0x7f.1 for addresses."""
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        try:
            ip_address(host)
        except ValueError:
            return False
        return "%" not in host
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


async def check_url(url: str, policy: DestinationPolicy, *, timeout_s: float = LOOKUP_TIMEOUT_S) -> None:
    """Check a destination when it is given to us. `timeout_s` is for looking the name up.

    Raises:
        DestinationBarred: nothing will ever be sent there. The sentence says why, and no more of our network than the caller knew.
        Unavailable: the name could not be looked up just now.
    """
    target = parse_url(url)
    plain = target.scheme == "http"
    host = target.raw_host.decode("ascii")
    try:
        async with asyncio.timeout(timeout_s):
            await policy.addresses(host, _port(target), plain=plain)
    except TimeoutError:
        raise _not_looked_up(host) from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _not_looked_up(host) from None
        raise _unreachable(host, plain=plain) from None


def _port(target: httpx.URL) -> int:
    return target.port or (80 if target.scheme == "http" else 443)


def _not_looked_up(host: str) -> Unavailable:
    return Unavailable(f"The name {host} could not be looked up just now. Please try again.")
