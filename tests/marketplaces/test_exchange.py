import asyncio
import socket
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from app.marketplaces.errors import MarketplaceDown, UnexpectedResponse
from app.marketplaces.exchange import MIB, REFUSAL_BYTES, SPOOLED_BYTES, Answer, Call, exchange, make_http_client
from app.marketplaces.transport import Transport
from app.secret import Secret
from tests.webhooks.receiver import OK, Certificate, Receiver, receiver_on

pytestmark = pytest.mark.anyio

KEY = Secret("eyJhbGciOiJFUzI1NiJ9.eyJzaWQiOiJub2JvZHkifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ")
CONNECTIONS = 128


@pytest.fixture
async def marketplace() -> AsyncIterator[Receiver]:
    async with receiver_on() as receiver:
        yield receiver


def call_to(marketplace: Receiver, target: str = "/goods", **changes: object) -> Call:
    url = f"http://127.0.0.1:{marketplace.port}{target}"
    asked = {"method": "GET", "url": url, "account": "acme", "group": "goods", "headers": {"Authorization": KEY}, **changes}
    return Call(**asked)


def whole(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "\r\n"]).encode() + body


def chunked(*chunks: bytes) -> bytes:
    """Without the chunk that ends it."""
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def reset(writer: asyncio.StreamWriter) -> None:
    """Not a polite end: RST instead of FIN (socket(7), SO_LINGER)."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_before_the_answer(writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def reset_in_the_head(writer: asyncio.StreamWriter) -> None:
    writer.write(OK[:20])
    await writer.drain()
    reset(writer)


async def reset_in_the_body(writer: asyncio.StreamWriter) -> None:
    writer.write(whole(b"x" * 3 * SPOOLED_BYTES)[: 2 * SPOOLED_BYTES])
    await writer.drain()
    reset(writer)


async def never(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def head_and_no_body(writer: asyncio.StreamWriter) -> None:
    writer.write(whole(b"x" * 100)[:-50])
    await never(writer)


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Never still, and never done."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.005)


def gzip_bomb(unpacked_bytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(unpacked_bytes // MIB)) + packer.flush()
    return whole(packed, "200 OK", "Content-Encoding: gzip")


BROKEN = {
    "no answer": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "head cut": OK[:20],
    "body cut": whole(b"x" * 100)[:-1],
    "chunks cut": chunked(b"x" * 2 * SPOOLED_BYTES),
    "wrong chunk": chunked(b"[") + b"zz\r\n]\r\n0\r\n\r\n",
    "long header": whole(b"", "200 OK", "X-Long: " + "x" * 20_000),
    "endless headers": whole(b"", "200 OK", *(f"X-{number}: x" for number in range(5_000))),
    "not gzip": whole(b"[]", "200 OK", "Content-Encoding: gzip"),
    "reset before": reset_before_the_answer,
    "reset in the head": reset_in_the_head,
    "reset in the body": reset_in_the_body,
    "silence": never,
    "silence in the body": head_and_no_body,
    "trickle": trickle,
}


@pytest.mark.parametrize("spooled", [False, True], ids=["in memory", "spooled"])
@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
async def test_half_an_answer_is_none_and_is_asked_for_once(
    marketplace: Receiver, http: aiohttp.ClientSession, fault: object, spooled: bool
) -> None:
    marketplace.answer, marketplace.hangs_up = fault, isinstance(fault, bytes)

    with pytest.raises(MarketplaceDown, match=r"No whole answer from 127\.0\.0\.1\.$") as failure:
        await exchange(http, call_to(marketplace, spooled=spooled, timeout_s=0.3))

    assert len(marketplace.requests) == 1
    assert failure.value.__cause__ is None
    assert KEY.reveal() not in repr(failure.value)


async def test_a_connection_that_is_lost_while_idle_is_noticed_and_not_asked_again_by_itself(
    marketplace: Receiver, http: aiohttp.ClientSession
) -> None:
    await exchange(http, call_to(marketplace))
    marketplace.answer = reset_before_the_answer

    with pytest.raises(MarketplaceDown):
        await exchange(http, call_to(marketplace))

    assert len(marketplace.requests) == 2
    assert marketplace.connections == 1


@pytest.mark.parametrize("spooled", [False, True], ids=["in memory", "spooled"])
async def test_a_bomb_is_refused_before_it_fills_the_memory(marketplace: Receiver, http: aiohttp.ClientSession, spooled: bool) -> None:
    marketplace.answer = gzip_bomb(256 * MIB)

    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedResponse, match="larger than 4,194,304 bytes"):
            await exchange(http, call_to(marketplace, max_bytes=4 * MIB, spooled=spooled))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 16 * MIB


async def test_chunks_and_packing_are_undone(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    packed = zlib.compress(b"[1, 2, 3]", wbits=31)
    marketplace.answer = chunked(packed[:7], packed[7:]).replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1) + b"0\r\n\r\n"

    answer = await exchange(http, call_to(marketplace))

    assert answer.body == b"[1, 2, 3]"


async def test_header_names_compare_case_insensitively(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    marketplace.answer = whole(b"", "200 OK", "X-RateLimit-Remaining: 7")

    answer = await exchange(http, call_to(marketplace))

    assert answer.headers.get("x-ratelimit-remaining") == answer.headers.get("X-Ratelimit-Remaining") == "7"


async def test_the_address_goes_out_as_it_was_written(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    target = "/a%2Fb/%D0%B0?date=2026-11-23T00%3A00%3A00%2B03%3A00&q=a+b"

    await exchange(http, call_to(marketplace, target))

    assert marketplace.requests[0].target == target


async def test_a_key_goes_to_no_other_host_by_a_redirection(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    async with receiver_on() as elsewhere:
        marketplace.answer = whole(b"", "308 Permanent Redirect", f"Location: http://127.0.0.1:{elsewhere.port}/")

        answer = await exchange(http, call_to(marketplace))

        assert answer.status == 308
        assert elsewhere.connections == 0


async def test_cookies_are_kept_neither_for_the_next_account_nor_for_a_shared_connection(
    marketplace: Receiver, http: aiohttp.ClientSession
) -> None:
    marketplace.answer = whole(b"", "200 OK", "Set-Cookie: session=of-another-seller; Path=/; Max-Age=3600")

    await exchange(http, call_to(marketplace))
    await exchange(http, call_to(marketplace, account="rival"))

    assert marketplace.connections == 1
    assert all("cookie" not in request.headers for request in marketplace.requests)


@pytest.mark.parametrize("end_of_line", ["\r\n", "\n", "\r", "\0"], ids=repr)
async def test_a_key_with_a_line_break_is_not_sent_and_not_told(
    marketplace: Receiver, http: aiohttp.ClientSession, end_of_line: str
) -> None:
    key = Secret(f"first-half-of-the-key{end_of_line}X-Other: second-half-of-the-key")

    with pytest.raises(ValueError, match="header") as refusal:
        await exchange(http, call_to(marketplace, headers={"Authorization": key}))

    assert marketplace.requests == []
    assert "half-of-the-key" not in str(refusal.value)


async def test_the_same_connection_serves_call_after_call(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    for spooled in (False, True, False):
        (await exchange(http, call_to(marketplace, spooled=spooled))).close()

    assert len(marketplace.requests) == 3
    assert marketplace.connections == 1


async def test_hundreds_at_once_share_the_connections(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(OK)

    marketplace.answer = slowly

    answers = await asyncio.gather(*(exchange(http, call_to(marketplace)) for _ in range(3 * CONNECTIONS)))

    assert all(answer.body == b"ok" for answer in answers)
    assert marketplace.connections <= CONNECTIONS


async def cancelled(http: aiohttp.ClientSession, call: Call, marketplace: Receiver) -> None:
    calls = [asyncio.create_task(exchange(http, call)) for _ in range(CONNECTIONS)]
    while len(marketplace.requests) < CONNECTIONS:
        await asyncio.sleep(0.01)
    for waiting in calls:
        waiting.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def timed_out(http: aiohttp.ClientSession, call: Call, _: Receiver) -> None:
    hasty = Call(method=call.method, url=call.url, account="acme", group="goods", timeout_s=1.0, spooled=call.spooled)
    outcomes = await asyncio.gather(*(exchange(http, hasty) for _ in range(CONNECTIONS)), return_exceptions=True)
    assert all(isinstance(outcome, MarketplaceDown) for outcome in outcomes)


@pytest.mark.parametrize("spooled", [False, True], ids=["in memory", "spooled"])
@pytest.mark.parametrize("given_up", [cancelled, timed_out])
@pytest.mark.parametrize("held", [never, head_and_no_body])
async def test_calls_that_are_given_up_hold_no_connection(
    marketplace: Receiver, http: aiohttp.ClientSession, given_up: object, held: object, spooled: bool
) -> None:
    marketplace.answer = held
    await given_up(http, call_to(marketplace, spooled=spooled), marketplace)
    marketplace.answer = OK

    answer = await exchange(http, call_to(marketplace, timeout_s=5.0))

    assert answer.body == b"ok"


async def test_refusals_that_are_not_read_to_the_end_hold_no_connection(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    marketplace.answer = whole(b"x" * 50 * REFUSAL_BYTES, "404 Not Found")
    for _ in range(CONNECTIONS + 1):
        refusal = await exchange(http, call_to(marketplace, timeout_s=5.0))
        assert REFUSAL_BYTES <= len(refusal.body) < 5 * REFUSAL_BYTES


async def test_a_certificate_that_nobody_trusts_ends_the_call_before_the_key_is_told(http: aiohttp.ClientSession) -> None:
    async with receiver_on(tls=Certificate("127.0.0.1").server_context()) as impostor:
        call = call_to(impostor, url=f"https://127.0.0.1:{impostor.port}/goods")

        with pytest.raises(MarketplaceDown) as failure:
            await exchange(http, call)

        assert "Certificate" in failure.value.excerpt
        assert impostor.requests == []


async def test_an_operator_may_name_whose_certificates_are_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = Certificate("localhost")
    (tmp_path / "roots.pem").write_bytes(certificate.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))

    async with receiver_on(tls=certificate.server_context()) as marketplace, make_http_client() as http:
        answer = await exchange(http, call_to(marketplace, url=f"https://localhost:{marketplace.port}/goods"))

    assert answer.body == b"ok"
    assert certificate.asked_names == ["localhost"]


@pytest.mark.parametrize("size", [0, 1, SPOOLED_BYTES, 4 * SPOOLED_BYTES])
async def test_a_spooled_answer_is_a_file_that_is_on_disk_where_it_is_large(
    marketplace: Receiver, http: aiohttp.ClientSession, size: int
) -> None:
    body = bytes(number % 251 for number in range(size))
    marketplace.answer = whole(body)

    answer = await exchange(http, call_to(marketplace, spooled=True, max_bytes=size))

    assert answer.file is not None
    with answer.file:
        assert answer.body == b""
        assert answer.file._rolled == (size > SPOOLED_BYTES)
        assert answer.file.read() == body


async def test_a_spooled_answer_that_is_too_large_is_refused(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    marketplace.answer = whole(b"x" * 2 * SPOOLED_BYTES)

    with pytest.raises(UnexpectedResponse, match="larger than 2,097,151 bytes"):
        await exchange(http, call_to(marketplace, spooled=True, max_bytes=2 * SPOOLED_BYTES - 1))


async def test_a_refusal_of_a_spooled_call_is_no_file(marketplace: Receiver, http: aiohttp.ClientSession) -> None:
    marketplace.answer = whole(b'{"title": "too many requests"}', "429 Too Many Requests")

    answer = await exchange(http, call_to(marketplace, spooled=True))

    assert answer.file is None
    assert answer.body == b'{"title": "too many requests"}'


async def test_the_excerpt_of_a_file_is_there_when_it_was_read_and_closed_and_hides_the_key(
    marketplace: Receiver, http: aiohttp.ClientSession
) -> None:
    marketplace.answer = whole(f"[{KEY.reveal()}, ".encode() + b"1, " * SPOOLED_BYTES + b"1]")

    answer = await exchange(http, call_to(marketplace, spooled=True))
    answer.close()

    assert answer.excerpt.startswith("[***, 1, 1,")


@pytest.mark.parametrize("error", [UnexpectedResponse("No."), RuntimeError("A fault of ours.")], ids=["misunderstood", "our fault"])
async def test_a_file_that_its_reader_refused_is_closed(marketplace: Receiver, http: aiohttp.ClientSession, error: Exception) -> None:
    answers: list[Answer] = []

    def refuse(answer: Answer) -> None:
        answers.append(answer)
        raise error

    with pytest.raises(type(error)):
        await Transport(http).send(call_to(marketplace, spooled=True), refuse)

    assert answers[0].file is not None
    assert answers[0].file.closed
