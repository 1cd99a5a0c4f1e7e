import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest
from standardwebhooks.webhooks import Webhook

from app.settings import load_settings
from app.webhooks.destinations import DestinationPolicy
from app.webhooks.sender import (
    EXCERPT_BYTES,
    LONGEST_RETRY_AFTER_S,
    MAX_ANSWER_BYTES,
    Answer,
    Failure,
    Sender,
    close_sender,
    get_sender,
    open_sender,
)
from app.webhooks.signing import new_secret, sign
from tests.webhooks.receiver import OK, Certificate, Names, Receiver, receiver_on

pytestmark = pytest.mark.anyio

LOOPBACK = (ip_network("127.0.0.0/8"),)
# Loading the public certificate authorities for each test would take most of the time.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
BODY = '{"type": "sync.completed", "data": {"message": "Готово"}}'.encode()


async def absent(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def silent(host: str, port: int) -> list[str]:
    await asyncio.Event().wait()
    return []


MakeSender = Callable[..., Sender]


@pytest.fixture
async def make_sender() -> AsyncIterator[MakeSender]:
    made: list[Sender] = []

    def make(policy: DestinationPolicy | None = None, **options: object) -> Sender:
        sender = Sender(policy or DestinationPolicy(LOOPBACK), **{"ssl_context": TRUSTS_NOBODY, **options})  # type: ignore[arg-type]  # options are the sender's own
        made.append(sender)
        return sender

    yield make
    for sender in made:
        await sender.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiver_on() as receiver:
        yield receiver


def url_of(receiver: Receiver, path: str = "/hook") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


def port_of(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


async def test_a_receiver_gets_what_was_signed_and_verifies_it(make_sender: MakeSender, receiver: Receiver) -> None:
    secret = new_secret()
    headers = sign("msg_1", datetime.now(UTC), BODY, [secret])

    result = await make_sender().send(url_of(receiver, "/hook?bot=1"), headers, BODY)

    assert result.delivered
    assert (result.status_code, result.excerpt, result.error, result.retry_after_s) == (200, "ok", None, None)
    assert 0.0 < result.duration_s < 5.0
    (request,) = receiver.requests
    assert (request.target, request.body) == ("/hook?bot=1", BODY)
    assert request.headers["user-agent"] == "stock-tracker-webhooks"
    assert request.headers["content-type"] == "application/json"
    assert Webhook(secret.reveal()).verify(request.body, request.headers)["data"]["message"] == "Готово"


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_any_2xx_is_a_delivery(make_sender: MakeSender, receiver: Receiver, status: str) -> None:
    receiver.answer = f"HTTP/1.1 {status}\r\n\r\n".encode() if status.startswith("204") else answer(status)

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert result.delivered
    assert result.status_code == int(status[:3])


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "410 Gone", "429 Too Many Requests", "500 Oops", "599 Odd"])
async def test_any_other_status_is_a_failure_that_keeps_the_answer(make_sender: MakeSender, receiver: Receiver, status: str) -> None:
    receiver.answer = answer(status, body="не вышло".encode())

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert not result.delivered
    assert (result.status_code, result.error, result.excerpt) == (int(status[:3]), "unsuccessful_status", "не вышло")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "304 Not Modified", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_a_failure_and_is_not_followed(make_sender: MakeSender, receiver: Receiver, status: str) -> None:
    receiver.answer = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert (result.status_code, result.error) == (int(status[:3]), "redirect")
    assert [request.target for request in receiver.requests] == ["/hook"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("999999999999", LONGEST_RETRY_AFTER_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed Oct 21 07:28:00 2015", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S),
        ("-5", None),
        ("1.5", None),
        ("1" * 5_000, None),
        ("soon", None),
        ("Wed, 99 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +9999999999", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_receiver_may_ask_for_time(
    make_sender: MakeSender, receiver: Receiver, status: str, value: str, seconds: float | None
) -> None:
    receiver.answer = answer(status, f"Retry-After: {value}")

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert result.retry_after_s == seconds


async def test_a_receiver_may_ask_for_time_by_a_date(make_sender: MakeSender, receiver: Receiver) -> None:
    receiver.answer = answer("503 Busy", "Retry-After: " + format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True))

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert result.retry_after_s is not None
    assert 570.0 < result.retry_after_s <= 600.0


async def test_only_a_busy_receiver_may_ask_for_time(make_sender: MakeSender, receiver: Receiver) -> None:
    receiver.answer = answer("500 Oops", "Retry-After: 120")

    assert (await make_sender().send(url_of(receiver), {}, BODY)).retry_after_s is None


async def test_a_receiver_that_drips_is_left_when_the_time_is_up(make_sender: MakeSender, receiver: Receiver) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver.answer = drip

    async with asyncio.timeout(5.0):
        result = await make_sender(total_timeout_s=0.3).send(url_of(receiver), {}, BODY)

    assert (result.status_code, result.error) == (200, "timeout")
    assert result.excerpt
    assert set(result.excerpt) == {"x"}
    assert 0.3 <= result.duration_s < 5.0


async def test_a_receiver_that_drips_its_headers_is_left_too(make_sender: MakeSender, receiver: Receiver) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Header: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver.answer = drip

    async with asyncio.timeout(5.0):
        result = await make_sender(total_timeout_s=0.3).send(url_of(receiver), {}, BODY)

    assert (result.status_code, result.excerpt, result.error) == (None, None, "timeout")
    assert 0.3 <= result.duration_s < 5.0


async def test_a_receiver_that_says_nothing_is_left_when_the_time_is_up(make_sender: MakeSender, receiver: Receiver) -> None:
    receiver.answer = b""

    result = await make_sender(total_timeout_s=0.2).send(url_of(receiver), {}, BODY)

    assert (result.status_code, result.excerpt, result.error) == (None, None, "timeout")


async def test_a_slow_receiver_delays_no_other(make_sender: MakeSender, receiver: Receiver) -> None:
    sender = make_sender()
    all_wait, go_on = asyncio.Barrier(51), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        await all_wait.wait()
        await go_on.wait()
        writer.write(OK)

    receiver.answer = wait
    slow = [asyncio.create_task(sender.send(url_of(receiver), {}, BODY)) for _ in range(50)]
    await all_wait.wait()

    async with receiver_on() as other:
        result = await sender.send(url_of(other), {}, BODY)

    assert result.delivered
    assert not any(task.done() for task in slow)
    go_on.set()
    assert all(result.delivered for result in await asyncio.gather(*slow))


async def test_looking_a_name_up_counts_as_connecting(make_sender: MakeSender) -> None:
    result = await make_sender(DestinationPolicy(resolve=silent), connect_timeout_s=0.1).send("https://hooks.example/", {}, BODY)

    assert (result.error, result.status_code) == ("connect_timeout", None)
    assert 0.1 <= result.duration_s < 4.0


async def test_a_handshake_that_does_not_begin_counts_as_connecting(make_sender: MakeSender, receiver: Receiver) -> None:
    result = await make_sender(connect_timeout_s=0.1).send(f"https://127.0.0.1:{receiver.port}/", {}, BODY)

    assert result.error == "connect_timeout"


async def test_nobody_listens(make_sender: MakeSender) -> None:
    async with receiver_on() as gone:
        pass

    assert (await make_sender().send(url_of(gone), {}, BODY)).error == "connection_refused"


async def test_there_is_no_such_name(make_sender: MakeSender) -> None:
    result = await make_sender(DestinationPolicy(resolve=absent)).send("https://hooks.example/", {}, BODY)

    assert (result.error, result.excerpt) == ("name_not_found", None)


@pytest.mark.parametrize("fault", ["untrusted", "other name", "expired"])
async def test_a_certificate_that_does_not_verify_is_a_tls_error(make_sender: MakeSender, fault: str) -> None:
    certificate = Certificate(
        "other.example" if fault == "other name" else "hooks.example", lifetime=timedelta(days=-1 if fault == "expired" else 1)
    )
    policy = DestinationPolicy(LOOPBACK, Names(hooks=[["127.0.0.1"]]))

    async with receiver_on(tls=certificate.server_context()) as receiver:
        trusted = TRUSTS_NOBODY if fault == "untrusted" else certificate.client_context()
        result = await make_sender(policy, ssl_context=trusted).send(f"https://hooks.example:{receiver.port}/", {}, BODY)

    assert (result.error, result.status_code) == ("tls_error", None)
    assert receiver.requests == []


async def test_no_tls_behind_https_is_a_tls_error(make_sender: MakeSender) -> None:
    async def answer_in_plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_in_plain, "127.0.0.1", 0) as server:
        result = await make_sender().send(f"https://127.0.0.1:{port_of(server)}/", {}, BODY)

    assert result.error == "tls_error"


async def test_a_receiver_that_wants_our_certificate_is_a_tls_error(make_sender: MakeSender) -> None:
    certificate = Certificate("127.0.0.1")
    theirs = certificate.server_context()
    theirs.verify_mode = ssl.CERT_REQUIRED

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """asyncio's own TLS resets the connection, and the refusal is lost on its way."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = theirs.wrap_bio(incoming, outgoing, server_side=True)
        refused = False
        while not refused:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65_536))
            except ssl.SSLError:
                refused = True
            else:
                break
        writer.write(outgoing.read())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        sender = make_sender(ssl_context=certificate.client_context())
        result = await sender.send(f"https://127.0.0.1:{port_of(server)}/", {}, BODY)

    assert (result.error, result.status_code) == ("tls_error", None)


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 200])
async def test_what_is_no_http_is_an_invalid_answer(make_sender: MakeSender, receiver: Receiver, reply: bytes) -> None:
    receiver.answer, receiver.hangs_up = reply, True

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert (result.status_code, result.excerpt, result.error) == (None, None, "invalid_answer")


async def test_an_answer_that_ends_early_is_no_delivery(make_sender: MakeSender, receiver: Receiver) -> None:
    receiver.answer, receiver.hangs_up = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", True

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert (result.status_code, result.excerpt, result.error) == (200, "half", "invalid_answer")


async def test_a_connection_that_breaks_is_lost(make_sender: MakeSender, receiver: Receiver) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        # Lingering for no time makes the close a reset.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    receiver.answer, receiver.hangs_up = reset, True

    assert (await make_sender().send(url_of(receiver), {}, BODY)).error == "connection_lost"


async def test_of_an_answer_without_end_the_beginning_is_read(make_sender: MakeSender, receiver: Receiver) -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"a" * 1024 + b"\r\n")
            await writer.drain()
            written += 1024

    receiver.answer = flood

    result = await make_sender(total_timeout_s=10.0).send(url_of(receiver), {}, BODY)

    assert result.delivered
    assert result.excerpt == "a" * EXCERPT_BYTES
    assert result.duration_s < 5.0
    # What the buffers of two sockets take is beyond our asking.
    assert MAX_ANSWER_BYTES <= written < 100 * MAX_ANSWER_BYTES


async def test_a_packed_answer_is_neither_asked_for_nor_unpacked(make_sender: MakeSender, receiver: Receiver) -> None:
    receiver.answer = answer("200 OK", "Content-Encoding: gzip", body=gzip.compress(b"a" * 10_000_000))

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert result.delivered
    assert "aaa" not in (result.excerpt or "")
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (b"", ""),
        (b"a\0b", "a\ufffdb"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"a" * (EXCERPT_BYTES - 1) + "я".encode(), "a" * (EXCERPT_BYTES - 1)),
        (b"a" * (EXCERPT_BYTES - 2) + "я".encode(), "a" * (EXCERPT_BYTES - 2) + "я"),
        (b"cut \xd1", "cut \ufffd"),
    ],
)
async def test_an_excerpt_is_text_that_any_database_takes(make_sender: MakeSender, receiver: Receiver, body: bytes, excerpt: str) -> None:
    receiver.answer = answer("200 OK", body=body)

    result = await make_sender().send(url_of(receiver), {}, BODY)

    assert result.excerpt == excerpt
    assert len(excerpt.encode()) <= EXCERPT_BYTES + len(excerpt) * 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "https://localhost:{port}/"])
async def test_a_barred_destination_gets_nothing_and_nothing_of_it_is_kept(make_sender: MakeSender, receiver: Receiver, url: str) -> None:
    result = await make_sender(DestinationPolicy()).send(url.format(port=receiver.port), {}, BODY)

    assert result == Answer(duration_s=result.duration_s, error=Failure.DESTINATION_BARRED)
    assert receiver.connections == 0


@pytest.mark.parametrize("url", ["http://bot:password@127.0.0.1:{port}/", "http://127.0.0.1:{port}/#top", "ftp://127.0.0.1:{port}/", "\0"])
async def test_a_stored_url_is_checked_again(make_sender: MakeSender, receiver: Receiver, url: str) -> None:
    result = await make_sender().send(url.format(port=receiver.port), {}, BODY)

    assert result.error == "destination_barred"
    assert receiver.connections == 0


async def test_no_cookie_travels_from_one_delivery_to_the_next(make_sender: MakeSender, receiver: Receiver) -> None:
    sender = make_sender()
    receiver.answer = answer("200 OK", "Set-Cookie: tenant=acme; Path=/")

    await sender.send(url_of(receiver), {}, BODY)
    await sender.send(url_of(receiver), {}, BODY)

    assert "cookie" not in receiver.requests[1].headers


async def test_deliveries_share_a_connection(make_sender: MakeSender, receiver: Receiver) -> None:
    sender = make_sender()

    for _ in range(3):
        assert (await sender.send(url_of(receiver), {}, BODY)).delivered

    assert receiver.connections == 1


async def test_a_proxy_in_the_environment_is_not_asked(
    make_sender: MakeSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver_on() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        result = await make_sender().send(url_of(receiver), {}, BODY)

    assert result.delivered
    assert proxy.connections == 0


async def test_a_process_has_one_sender_with_the_operators_networks(receiver: Receiver) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        get_sender()
    open_sender(load_settings({"DATABASE_URL": "postgresql://h/n", "REDIS_URL": "redis://h", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}))
    try:
        assert get_sender() is get_sender()
        assert (await get_sender().send(url_of(receiver), {}, BODY)).delivered
    finally:
        await close_sender()
    with pytest.raises(RuntimeError, match="not open"):
        get_sender()
