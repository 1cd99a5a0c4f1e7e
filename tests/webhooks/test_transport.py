import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import httpx
import pytest

from app.webhooks.destinations import DestinationBarred, DestinationPolicy, Resolver, check_url
from app.webhooks.transport import CheckedTransport
from tests.webhooks.receiver import OK, Certificate, Names, full_backlog, receiver_on

pytestmark = pytest.mark.anyio

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@asynccontextmanager
async def client(resolve: Resolver, tls: ssl.SSLContext | None = None, *, timeout_s: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    transport = CheckedTransport(DestinationPolicy(LOOPBACK, resolve), tls)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout_s) as client:
        yield client


async def test_the_connection_goes_to_the_checked_address_and_all_else_keeps_the_urls_host() -> None:
    certificate = Certificate("hooks.example")
    names = Names(hooks=[["127.0.0.3"]])

    async with receiver_on("127.0.0.3", tls=certificate.server_context()) as receiver, client(names, certificate.client_context()) as http:
        response = await http.post(f"https://hooks.example:{receiver.port}/in?bot=1", content=b"{}")

    assert (response.status_code, response.content) == (200, b"ok")
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"
    assert receiver.requests[0].target == "/in?bot=1"
    assert certificate.asked_names == ["hooks.example"]


async def test_the_certificate_must_be_for_the_urls_host_not_for_the_address() -> None:
    certificate = Certificate("127.0.0.1")
    names = Names(hooks=[["127.0.0.1"]])

    async with receiver_on(tls=certificate.server_context()) as receiver, client(names, certificate.client_context()) as http:
        with pytest.raises(httpx.ConnectError, match=r"not valid for 'hooks\.example'"):
            await http.post(f"https://hooks.example:{receiver.port}/")
        by_address = await http.post(f"https://127.0.0.1:{receiver.port}/")

    assert by_address.status_code == 200
    assert len(receiver.requests) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async with receiver_on(tls=Certificate("hooks.example").server_context()) as receiver, client(Names(hooks=[["127.0.0.1"]])) as http:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.post(f"https://hooks.example:{receiver.port}/")

    assert receiver.requests == []


async def test_a_name_that_changes_its_mind_is_not_asked_a_second_time() -> None:
    names = Names(hooks=[["127.0.0.1"], ["127.0.0.2"]])

    async with receiver_on("127.0.0.1") as checked, receiver_on("127.0.0.2", checked.port) as other, client(names) as http:
        await http.post(f"http://hooks.example:{checked.port}/")

    assert names.asked == ["hooks.example"]
    assert (checked.connections, other.connections) == (1, 0)


async def test_a_name_that_turned_inwards_after_it_was_accepted_is_barred_at_the_connection() -> None:
    names = Names(hooks=[["93.184.216.34"], ["127.0.0.1"]])
    await check_url("https://hooks.example/", DestinationPolicy(resolve=names))

    async with receiver_on() as receiver, httpx.AsyncClient(transport=CheckedTransport(DestinationPolicy(resolve=names))) as http:
        with pytest.raises(DestinationBarred, match=r"hooks\.example"):
            await http.post(f"https://hooks.example:{receiver.port}/")

    assert receiver.connections == 0


async def test_one_bad_address_bars_the_good_ones_too() -> None:
    names = Names(hooks=[["127.0.0.1", "10.0.0.1"]])

    async with receiver_on() as receiver, client(names) as http:
        with pytest.raises(DestinationBarred):
            await http.post(f"https://hooks.example:{receiver.port}/")

    assert receiver.connections == 0


async def test_plain_http_to_the_public_internet_is_barred_at_the_connection() -> None:
    async with client(Names(hooks=[["93.184.216.34"]])) as http:
        with pytest.raises(DestinationBarred, match="must begin with https"):
            await http.post("http://hooks.example/")


async def test_a_kept_alive_connection_is_used_again_and_asks_nobody() -> None:
    names = Names(hooks=[["127.0.0.1"]])

    async with receiver_on() as receiver, client(names) as http:
        for _ in range(3):
            await http.post(f"http://hooks.example:{receiver.port}/")

    assert (len(receiver.requests), receiver.connections, len(names.asked)) == (3, 1, 1)


async def test_two_names_for_one_address_share_no_connection() -> None:
    names = Names(hooks=[["127.0.0.1"]], other=[["127.0.0.1"]])

    async with receiver_on() as receiver, client(names) as http:
        await http.post(f"http://hooks.example:{receiver.port}/")
        await http.post(f"http://other.example:{receiver.port}/")

    assert receiver.connections == 2


async def test_a_dead_address_leaves_time_for_the_next() -> None:
    names = Names(hooks=[["127.0.0.9", "127.0.0.1"]])

    async with receiver_on() as receiver, client(names) as http:
        response = await http.post(f"http://hooks.example:{receiver.port}/")

    assert response.status_code == 200


async def test_a_silent_address_takes_its_share_of_the_time_and_no_more() -> None:
    with full_backlog("127.0.0.9") as port:
        async with receiver_on("127.0.0.1", port) as receiver, client(Names(hooks=[["127.0.0.9", "127.0.0.1"]]), timeout_s=1.0) as http:
            response = await http.post(f"http://hooks.example:{port}/")

    assert response.status_code == 200
    assert receiver.connections == 1


async def test_an_ipv6_address_is_a_host_like_any_other() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    certificate = Certificate("::1")

    async with receiver_on("::1", tls=certificate.server_context()) as receiver, client(Names(), certificate.client_context()) as http:
        response = await http.post(f"https://[::1]:{receiver.port}/")

    assert response.status_code == 200
    assert receiver.requests[0].headers["host"] == f"[::1]:{receiver.port}"


async def absent(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def silent(host: str, port: int) -> list[str]:
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize(
    ("resolve", "url", "error"),
    [
        (absent, "https://hooks.example/", httpx.ConnectError),
        (silent, "https://hooks.example/", httpx.ConnectTimeout),
        (absent, "http://127.0.0.1:1/", httpx.ConnectError),
        (absent, "ftp://127.0.0.1/", httpx.UnsupportedProtocol),
    ],
)
async def test_no_connection_is_told_in_httpxs_own_errors(resolve: Resolver, url: str, error: type[httpx.TransportError]) -> None:
    async with client(resolve, timeout_s=0.1) as http:
        with pytest.raises(error) as raised:
            await http.post(url)

    assert raised.value.request.url == url


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", httpx.RemoteProtocolError),
        (OK.replace(b"ok", b"o"), httpx.RemoteProtocolError),
    ],
)
async def test_a_bad_answer_is_told_in_httpxs_own_errors(answer: bytes, error: type[httpx.TransportError]) -> None:
    async with receiver_on() as receiver, client(absent) as http:
        receiver.answer, receiver.hangs_up = answer, True
        with pytest.raises(error):
            await http.post(f"http://127.0.0.1:{receiver.port}/")


@pytest.mark.parametrize("beginning", [b"", OK[:20], OK[:-1]])
async def test_an_answer_that_does_not_go_on_is_a_read_timeout(beginning: bytes) -> None:
    async with receiver_on() as receiver, client(absent, timeout_s=0.1) as http:
        receiver.answer = beginning
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"http://127.0.0.1:{receiver.port}/")
