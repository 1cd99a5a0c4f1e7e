"""A bucket empties by its burst and fills by its interval."""

import pytest

from app.sandbox.limits import Buckets, Limit, Refused, Taken

LIMIT = Limit(interval_s=0.6, burst=5)
KEY = ("seller", "personal", "cards")
NOW_S = 1_795_000_000.0


def test_a_full_bucket_gives_its_burst_and_then_refuses() -> None:
    buckets = Buckets()

    taken = [buckets.take(KEY, LIMIT, NOW_S) for _ in range(6)]

    assert taken == [Taken(4), Taken(3), Taken(2), Taken(1), Taken(0), Refused(retry_s=1, reset_s=3)]


def test_one_request_comes_back_each_interval() -> None:
    buckets = Buckets()
    for _ in range(5):
        buckets.take(KEY, LIMIT, NOW_S)

    taken = [buckets.take(KEY, LIMIT, NOW_S + 0.6 * step) for step in range(1, 200)]

    assert taken == [Taken(0)] * 199


def test_a_refusal_costs_nothing() -> None:
    buckets = Buckets()
    limit = Limit(interval_s=20, burst=1)
    buckets.take(KEY, limit, NOW_S)

    waits = [buckets.take(KEY, limit, NOW_S + step) for step in (0, 5, 19.5)]

    assert waits == [Refused(20, 20), Refused(15, 15), Refused(1, 1)]
    assert buckets.take(KEY, limit, NOW_S + 20) == Taken(0)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    buckets = Buckets()
    buckets.take(KEY, LIMIT, NOW_S)

    assert buckets.take(KEY, LIMIT, NOW_S + 86400) == Taken(4)


def test_a_charge_takes_more_for_the_same_request_and_at_most_all() -> None:
    buckets = Buckets()
    limit = Limit(interval_s=0.2, burst=20)
    buckets.take(KEY, limit, NOW_S)

    charged = [buckets.charge(KEY, limit, NOW_S, 9) for _ in range(3)]

    assert charged == [Taken(10), Taken(1), Taken(0)]
    assert buckets.take(KEY, limit, NOW_S) == Refused(retry_s=1, reset_s=4)
    assert buckets.take(KEY, limit, NOW_S + 4) == Taken(19)


def test_keys_do_not_share_a_bucket() -> None:
    buckets = Buckets()
    limit = Limit(interval_s=60, burst=1)

    assert buckets.take(("one",), limit, NOW_S) == buckets.take(("two",), limit, NOW_S) == Taken(0)


def test_a_clock_set_back_by_a_year_makes_nobody_wait_for_a_year() -> None:
    buckets = Buckets()
    buckets.take(KEY, LIMIT, NOW_S)

    refused = buckets.take(KEY, LIMIT, NOW_S - 365 * 86400)

    assert isinstance(refused, Refused)
    assert refused.reset_s == 3


@pytest.mark.parametrize("interval_s", [0.2, 0.6, 7.0, 20.0, 86400.0])
@pytest.mark.parametrize("burst", [1, 5, 99])
def test_who_waits_as_told_is_let_in(interval_s: float, burst: int) -> None:
    buckets = Buckets()
    limit = Limit(interval_s, burst)
    while isinstance(refused := buckets.take(KEY, limit, NOW_S), Taken):
        pass

    assert isinstance(buckets.take(KEY, limit, NOW_S + refused.retry_s), Taken)
