import asyncio
import random
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from app.errors import Unavailable
from app.webhooks.destinations import MAX_URL_LENGTH, DestinationBarred, DestinationPolicy, Zone, check_url, parse_url, zone_of
from tests.webhooks.receiver import Names

pytestmark = pytest.mark.anyio

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PUBLIC_V4 = "93.184.216.34"
PUBLIC_V6 = "2606:2800:220:1::1"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",  # loopback
        "127.255.255.254",
        "::1",
        "10.0.0.1",  # private
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fc00::1",
        "fd12:3456::1",
        "169.254.1.1",  # link-local
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "100.64.0.1",  # CGNAT
        "100.127.255.255",
        "224.0.0.1",  # multicast
        "ff02::1",
        "ff0e::1",
        "0.0.0.0",  # unspecified
        "0.1.2.3",
        "::",
        "240.0.0.1",  # reserved
        "255.255.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "2001:db8::1",
        "3fff::1",
        "2001:20::1",
        "100::1",
        "5f00::1",
        "4000::1",
        "::ffff:127.0.0.1",  # IPv4-mapped
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",  # IPv4-compatible
        "::93.184.216.34",
        "::ffff:0:127.0.0.1",  # IPv4-translated
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::100.64.0.1",
        "64:ff9b::0.0.0.0",
        "64:ff9b:1::7f00:1",  # NAT64 of a network's own
        "64:ff9b:1:a00:0:100::",
        "2002:7f00:1::",  # 6to4
        "2002:a00:1::1",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, of 127.0.0.1
        "2001:0:7f00:1::1",
        "169.254.169.254",  # where clouds keep their machines' keys
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
    ],
)
def test_an_address_off_the_public_internet_is_barred(address: str) -> None:
    assert zone_of(ip_address(address), ()) is Zone.BARRED


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        PUBLIC_V4,
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        PUBLIC_V6,
        "2a00:1450:4010::1",
        "2001:4860:4860::8888",
        f"::ffff:{PUBLIC_V4}",
        f"64:ff9b::{PUBLIC_V4}",
    ],
)
def test_an_address_on_the_public_internet_may_be_reached(address: str) -> None:
    assert zone_of(ip_address(address), ()) is Zone.PUBLIC


def test_what_python_takes_for_internal_is_never_public_here() -> None:
    dice = random.Random(20261122)
    addresses = [IPv4Address(dice.getrandbits(32)) for _ in range(5_000)]
    addresses += [IPv6Address(dice.getrandbits(128)) for _ in range(1_000)]
    addresses += [IPv6Address(0x2001 << 112 | dice.getrandbits(32) << 80) for _ in range(1_000)]

    internal = [address for address in addresses if not address.is_global or address.is_multicast or address.is_reserved]

    assert len(internal) > 500
    assert [address for address in internal if zone_of(address, ()) is Zone.PUBLIC] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_an_allowed_network_may_be_reached(address: str) -> None:
    assert zone_of(ip_address(address), LOOPBACK) is Zone.ALLOWED


@pytest.mark.parametrize("address", ["10.0.0.1", "::2", "64:ff9b::127.0.0.1", "2002:7f00:1::", "::127.0.0.1"])
def test_an_allowed_network_opens_itself_alone(address: str) -> None:
    assert zone_of(ip_address(address), LOOPBACK) is Zone.BARRED


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::100.100.100.200",
        "64:ff9b:1::169.254.169.254",
        "2002:a9fe:a9fe::",
        "2001:0:a9fe:a9fe::",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fe80::a9fe:a9fe",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_no_setting_opens_the_way_to_a_clouds_keys(address: str) -> None:
    assert zone_of(ip_address(address), EVERYTHING) is Zone.BARRED


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://hooks.example/", "must begin with https"),
        ("file:///etc/passwd", "must begin with https"),
        ("//hooks.example/", "must begin with https"),
        ("hooks.example", "must begin with https"),
        ("", "must begin with https"),
        ("https://bot:password@hooks.example/", "user name or a password"),
        ("https://bot@hooks.example/", "user name or a password"),
        ("https://hooks.example\\@evil.example/", "user name or a password"),
        ("https://hooks.example/#top", "fragment"),
        ("https://hooks.example/#", "fragment"),
        ("https://hooks.example/" + "a" * MAX_URL_LENGTH, "longer than 2,000"),
        (" https://hooks.example/", "blank or a control"),
        ("https://hooks.example/a b", "blank or a control"),
        ("https://hooks.example/\r\nX-Header: 1", "blank or a control"),
        ("https://hooks.example/\0", "blank or a control"),
        ("https://hooks.example/\ud800", "no valid URL"),
        ("https://hooks.example:port/", "no valid URL"),
        ("https://[::1/", "no valid URL"),
        ("https://x\u00ad.example/", "no valid URL"),
        ("https://\u2460\u2461\u2466.0.0.1/", "no valid URL"),
        ("https://hooks.example:0/", "port"),
        ("https://hooks.example:65536/", "port"),
        ("https:///path", "host"),
        ("https://hooks.example\\evil.example/", "host"),
        ("https://hooks%2eexample/", "host"),
        ("https://hooks..example/", "host"),
        ("https://hooks.example./", "host"),
        ("https://-hooks.example/", "host"),
        ("https://*.example/", "host"),
        ("https://" + "a" * 64 + ".example/", "host"),
        ("https://" + "a." * 127 + "example/", "host"),
        ("https://127.1/", "host"),
        ("https://2130706433/", "host"),
        ("https://0x7f000001/", "host"),
        ("https://0x7f.0.0.0x1/", "host"),
        ("https://0177.0.0.1/", "no valid URL"),
        ("https://1.2.3.4.5/", "host"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://[fe80::1%eth0]/", "host"),
    ],
)
def test_what_is_no_plain_web_address_is_barred_with_the_reason(url: str, sentence: str) -> None:
    with pytest.raises(DestinationBarred, match=sentence) as barred:
        parse_url(url)

    assert (barred.value.status, barred.value.code) == (422, "destination_barred")
    assert "password" not in barred.value.detail.replace("a user name or a password", "")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example/telegram?bot=1", "hooks.example"),
        ("HTTPS://Hooks.Example:8443", "hooks.example"),
        ("http://bot_service:8080/", "bot_service"),
        ("https://1-2-3.a1/", "1-2-3.a1"),
        ("https://пример.рф/хук", "xn--e1afmkfd.xn--p1ai"),
        (f"https://{PUBLIC_V4}/", PUBLIC_V4),
        (f"https://[{PUBLIC_V6}]:8443/", PUBLIC_V6),
        ("https://hooks.example/" + "a" * (MAX_URL_LENGTH - 22), "hooks.example"),
    ],
)
def test_a_plain_web_address_is_read(url: str, host: str) -> None:
    assert parse_url(url).raw_host.decode() == host


async def test_a_name_on_the_public_internet_is_accepted() -> None:
    names = Names(hooks=[[PUBLIC_V4, PUBLIC_V6]])

    await check_url("https://hooks.example/", DestinationPolicy(resolve=names))

    assert names.asked == ["hooks.example"]


async def test_a_name_is_barred_for_one_bad_address_among_good_ones() -> None:
    policy = DestinationPolicy(resolve=Names(hooks=[[PUBLIC_V4, PUBLIC_V6, "10.0.0.7"]]))

    with pytest.raises(
        DestinationBarred, match=r"can't be sent to hooks\.example: .* each of its addresses must be on the public internet"
    ):
        await check_url("https://hooks.example/", policy)


async def nobody(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_a_refusal_does_not_tell_which_internal_names_exist_or_where_they_lead(scheme: str) -> None:
    url = f"{scheme}://db.example/"

    with pytest.raises(DestinationBarred) as internal:
        await check_url(url, DestinationPolicy(resolve=Names(db=[["10.20.30.40"]])))
    with pytest.raises(DestinationBarred) as absent:
        await check_url(url, DestinationPolicy(resolve=nobody))
    with pytest.raises(DestinationBarred) as empty:
        await check_url(url, DestinationPolicy(resolve=Names(db=[[]])))

    assert internal.value.detail == absent.value.detail == empty.value.detail
    assert "10.20.30.40" not in internal.value.detail


async def test_the_systems_own_resolver_is_judged_too() -> None:
    with pytest.raises(DestinationBarred, match="localhost"):
        await check_url("https://localhost/", DestinationPolicy())
    await check_url("https://localhost/", DestinationPolicy(LOOPBACK))


async def test_an_address_is_judged_without_asking_a_resolver() -> None:
    policy = DestinationPolicy(resolve=nobody)

    await check_url(f"https://{PUBLIC_V4}/", policy)
    with pytest.raises(DestinationBarred):
        await check_url("https://[::ffff:127.0.0.1]/", policy)


async def test_plain_http_is_for_allowed_networks_alone() -> None:
    policy = DestinationPolicy(LOOPBACK, resolve=Names(bot=[["127.0.0.5"]], hooks=[[PUBLIC_V4]], both=[["127.0.0.5", PUBLIC_V4]]))

    await check_url("http://bot.example:8080/", policy)
    for host in ("hooks.example", "both.example"):
        with pytest.raises(DestinationBarred, match="must begin with https"):
            await check_url(f"http://{host}/", policy)
        await check_url(f"https://{host}/", policy)


async def test_a_resolver_that_can_not_say_is_our_trouble_not_the_callers() -> None:
    async def busy(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    for resolver in (busy, silent):
        with pytest.raises(Unavailable, match=r"hooks\.example could not be looked up just now"):
            await check_url("https://hooks.example/", DestinationPolicy(resolve=resolver), timeout_s=0.05)
