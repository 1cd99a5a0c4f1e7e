import asyncio
from datetime import timedelta

import aiohttp
import msgspec
import pytest

from app.marketplaces.errors import EXCERPT_LENGTH, MarketplaceDown, MarketplaceError, RateLimited, UnexpectedResponse
from app.marketplaces.exchange import REFUSAL_BYTES, Answer, Call, make_http_client
from app.marketplaces.limits import LimitNews, Permit
from app.marketplaces.transport import Backoff, Limits, Transport
from app.secret import Secret
from tests.marketplaces.scripted_server import HANG_UP, Reply, ScriptedServer

pytestmark = pytest.mark.anyio

KEY = Secret("eyJhbGciOiJFUzI1NiJ9.eyJzaWQiOiJub2JvZHkifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ")


class Sleeps:
    """Remembers how long it was asked to sleep, and doesn't."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked_s.append(seconds)


class Budget:
    """Limits that make every call wait the same time, and put the first of them off by another."""

    def __init__(self, wait_s: float, put_off_s: float = 0.0) -> None:
        self._wait_s = wait_s
        self._put_off_s = put_off_s
        self.asked: list[tuple[str, str]] = []
        self.learnt: list[tuple[int | None, LimitNews | None, type[MarketplaceError] | None]] = []

    async def take(self, call: Call) -> Permit:
        self.asked.append((call.account, call.group))
        if self._wait_s > call.patience_s:
            raise RateLimited(timedelta(seconds=self._wait_s))
        return Permit(self._wait_s)

    async def renew(self, call: Call, permit: Permit) -> Permit:
        put_off_s, self._put_off_s = self._put_off_s, 0.0
        return Permit(put_off_s)

    async def learn(
        self, call: Call, permit: Permit, answer: Answer | None, news: LimitNews | None, error: MarketplaceError | None, age_s: float
    ) -> None:
        self.learnt.append((answer and answer.status, news, error and type(error)))


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


def transport_for(http: aiohttp.ClientSession, sleeps: Sleeps, limits: Limits | None = None) -> Transport:
    return Transport(http, limits=limits, backoff=Backoff(base_s=1.0, longest_s=4.0), sleep=sleeps)


def call_to(server: ScriptedServer, **changes: object) -> Call:
    call = Call(method="GET", url=server.url + "/goods", account="wildberries:acme", group="goods", headers={"Authorization": KEY})
    return msgspec.structs.replace(call, **changes)


def read(answer: Answer) -> bytes:
    """As simple as a marketplace can be."""
    if answer.status == 429:
        raise RateLimited(timedelta(seconds=float(answer.headers["retry-after"])))
    if answer.status >= 500:
        raise MarketplaceDown(f"Status {answer.status}.", excerpt=answer.excerpt)
    if answer.status >= 400:
        raise UnexpectedResponse(f"Status {answer.status}.", excerpt=answer.excerpt)
    return bytes(answer.body)


async def test_a_good_answer_costs_one_request_and_no_wait(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(body=b"[]")]
    transport = transport_for(http, sleeps)

    body = await transport.send(call_to(server), read)

    assert body == b"[]"
    assert server.requests[0].headers["authorization"] == KEY.reveal()
    assert transport.traffic.requests == 1
    assert transport.traffic.waited_s == 0.0


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=500),
        Reply(status=503, body=b"<html>502 Bad Gateway</html>", content_type="text/html"),
        HANG_UP,
        Reply(body=b'["all of it"]', cut_after=5),
        Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["500", "html", "reset", "truncated", "bad gzip"],
)
async def test_what_may_pass_is_tried_again(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps, fault: Reply) -> None:
    server.replies = [fault, fault, Reply(body=b"[]")]
    transport = transport_for(http, sleeps)

    body = await transport.send(call_to(server), read)

    assert body == b"[]"
    assert transport.traffic.requests == len(server.requests) == 3


async def test_five_attempts_are_all_and_their_pauses_are_random_within_growing_bounds(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    server.replies = [Reply(status=500)]
    transport = transport_for(http, sleeps)

    with pytest.raises(MarketplaceDown, match="Status 500"):
        await transport.send(call_to(server), read)

    assert len(server.requests) == 5
    assert len(set(sleeps.asked_s)) == 4
    assert all(pause_s <= longest_s for pause_s, longest_s in zip(sleeps.asked_s, (1.0, 2.0, 4.0, 4.0), strict=True))
    assert transport.traffic.waited_s == pytest.approx(sum(sleeps.asked_s))


async def test_what_must_not_be_sent_twice_is_sent_once(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(status=500), Reply()]

    with pytest.raises(MarketplaceDown):
        await transport_for(http, sleeps).send(call_to(server, attempts=1), read)

    assert len(server.requests) == 1


async def test_an_answer_that_never_comes_is_given_up(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(after_s=30)]

    with pytest.raises(MarketplaceDown, match=r"No whole answer from 127\.0\.0\.1\.$") as failure:
        await transport_for(http, sleeps).send(call_to(server, attempts=2, timeout_s=0.05), read)

    assert failure.value.excerpt == "TimeoutError"
    assert len(server.requests) == 2


async def test_nobody_listening_is_a_marketplace_that_is_down(http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    call = Call(method="GET", url=f"http://127.0.0.1:{port}/", account="a", group="g")

    with pytest.raises(MarketplaceDown, match=r"No whole answer from 127\.0\.0\.1\.$") as failure:
        await transport_for(http, sleeps).send(call, read)

    assert failure.value.excerpt == "ClientConnectorError"
    assert len(sleeps.asked_s) == 4


async def test_a_short_request_for_patience_is_slept_and_a_little_more(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": "10"}), Reply(body=b"[]")]
    transport = transport_for(http, sleeps)

    body = await transport.send(call_to(server), read)

    assert body == b"[]"
    assert 10.0 <= sleeps.asked_s[0] <= 11.0
    assert transport.traffic.waited_s == pytest.approx(sleeps.asked_s[0])


async def test_a_long_request_for_patience_is_not_slept(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": "18236"}), Reply()]

    with pytest.raises(RateLimited) as refusal:
        await transport_for(http, sleeps).send(call_to(server), read)

    assert refusal.value.retry_after == timedelta(seconds=18236)
    assert len(server.requests) == 1
    assert sleeps.asked_s == []


async def test_patience_that_is_asked_for_again_and_again_ends(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(status=429, headers={"Retry-After": "1"})]

    with pytest.raises(RateLimited):
        await transport_for(http, sleeps).send(call_to(server), read)

    assert len(server.requests) == 5


async def test_other_refusals_are_not_repeated(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(status=400, body=b"no"), Reply()]

    with pytest.raises(UnexpectedResponse, match="Status 400"):
        await transport_for(http, sleeps).send(call_to(server), read)

    assert len(server.requests) == 1


async def test_the_budget_is_asked_before_each_attempt_and_its_wait_is_slept(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    server.replies = [Reply(status=500), Reply()]
    budget = Budget(3.0)

    await transport_for(http, sleeps, budget).send(call_to(server), read)

    assert budget.asked == [("wildberries:acme", "goods")] * 2
    assert sleeps.asked_s.count(3.0) == 2


async def test_a_budget_that_asks_for_more_patience_than_there_is_stops_the_call_unsent(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    budget = Budget(20.0)

    with pytest.raises(RateLimited) as refusal:
        await transport_for(http, sleeps, budget).send(call_to(server), read)

    assert refusal.value.retry_after == timedelta(seconds=20)
    assert server.requests == []
    assert sleeps.asked_s == []


async def test_who_waited_asks_whether_the_turn_still_holds_and_waits_on_where_it_was_put_off(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    transport = transport_for(http, sleeps, Budget(3.0, put_off_s=2.0))

    await transport.send(call_to(server), read)

    assert sleeps.asked_s == [3.0, 2.0]
    assert transport.traffic.waited_s == pytest.approx(5.0)


async def test_a_turn_that_is_put_off_beyond_the_patience_is_given_up_unsent(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    budget = Budget(3.0, put_off_s=8.0)

    with pytest.raises(RateLimited) as refusal:
        await transport_for(http, sleeps, budget).send(call_to(server), read)

    assert refusal.value.retry_after == timedelta(seconds=8)
    assert server.requests == []
    assert sleeps.asked_s == [3.0]


async def test_the_limits_learn_from_every_attempt_before_the_next(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    server.replies = [HANG_UP, Reply(status=429, headers={"Retry-After": "1"}), Reply(headers={"Left": "7"}), Reply(status=404)]
    budget = Budget(0.0)
    transport = Transport(
        http, limits=budget, news=lambda answer: LimitNews(int(answer.headers["left"])) if "left" in answer.headers else None, sleep=sleeps
    )

    await transport.send(call_to(server), read)
    with pytest.raises(UnexpectedResponse):
        await transport.send(call_to(server), read)

    assert budget.learnt == [
        (None, None, MarketplaceDown),
        (429, None, RateLimited),
        (200, LimitNews(7), None),
        (404, None, UnexpectedResponse),
    ]


async def test_an_answer_larger_than_any_right_one_is_refused_and_not_fetched_again(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    server.replies = [Reply(body=b"x" * 5000)]

    with pytest.raises(UnexpectedResponse, match="larger than 4,999 bytes"):
        await transport_for(http, sleeps).send(call_to(server, max_bytes=4999), read)

    assert len(server.requests) == 1


async def test_of_a_refusal_only_the_beginning_is_read(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(status=404, body=b"x" * 50 * REFUSAL_BYTES)]

    body = await transport_for(http, sleeps).send(call_to(server, max_bytes=10), lambda answer: answer.body)

    assert REFUSAL_BYTES <= len(body) < 3 * REFUSAL_BYTES


@pytest.mark.parametrize("echo", [KEY.reveal(), KEY.reveal().split(".")[1], f"{'x' * 180}{KEY.reveal()}"], ids=["whole", "part", "cut"])
async def test_a_key_that_the_answer_repeats_is_masked(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps, echo: str
) -> None:
    server.replies = [Reply(status=401, body=f"token is malformed: {echo} !".encode())]

    with pytest.raises(UnexpectedResponse) as refusal:
        await transport_for(http, sleeps).send(call_to(server), read)

    assert "token is malformed" in refusal.value.excerpt
    assert not any(part[:12] in refusal.value.excerpt for part in KEY.reveal().split("."))
    assert len(refusal.value.excerpt) <= EXCERPT_LENGTH


async def test_no_error_holds_the_key(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [HANG_UP]
    call = call_to(server)

    with pytest.raises(MarketplaceDown) as failure:
        await transport_for(http, sleeps).send(call, read)

    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__
    assert KEY.reveal() not in repr(failure.value) + repr(call)


async def test_a_cookie_from_one_call_does_not_go_out_with_the_next(
    server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps
) -> None:
    server.replies = [Reply(headers={"Set-Cookie": "session=of-another-seller; Path=/"})]
    transport = transport_for(http, sleeps)

    await transport.send(call_to(server), read)
    await transport.send(call_to(server), read)

    assert "cookie" not in server.requests[1].headers


async def test_a_redirection_is_not_followed(server: ScriptedServer, http: aiohttp.ClientSession, sleeps: Sleeps) -> None:
    server.replies = [Reply(status=307, headers={"Location": "/elsewhere"})]

    status = await transport_for(http, sleeps).send(call_to(server), lambda answer: answer.status)

    assert status == 307
    assert len(server.requests) == 1


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, sleeps: Sleeps) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with make_http_client() as http:
        body = await transport_for(http, sleeps).send(call_to(server), read)

    assert body == b""
