import pytest
from httpx import Headers

from app.marketplaces.exchange import Answer
from app.marketplaces.limits import LimitNews
from app.marketplaces.ozon.limit_headers import limit_news


def test_an_answer_says_how_many_calls_could_follow() -> None:
    assert limit_news(Answer(200, Headers({"Ratelimit-Remaining": "49"}), b"")) == LimitNews(49)


@pytest.mark.parametrize("value", ["", "many", "-1", "inf", "nan"])
def test_nonsense_is_no_news(value: str) -> None:
    assert limit_news(Answer(200, Headers({"Ratelimit-Remaining": value}), b"")) is None
    assert limit_news(Answer(429, Headers({"Retry-After": value}), b"")) == LimitNews()


@pytest.mark.parametrize(("told", "wait_s"), [("1", 1.0), ("120", 120.0), ("0", 1.0)])
def test_a_refusal_says_when_to_come_again_and_never_at_once(told: str, wait_s: float) -> None:
    assert limit_news(Answer(429, Headers({"ratelimit-remaining": "0", "retry-after": told}), b"")) == LimitNews(retry_after_s=wait_s)
