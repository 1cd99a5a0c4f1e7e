import pytest
from httpx import Headers

from app.marketplaces.exchange import Answer
from app.marketplaces.limits import LimitNews
from app.marketplaces.wildberries.limit_headers import limit_news


@pytest.mark.parametrize("name", ["X-Ratelimit-Remaining", "X-RateLimit-Remaining"])
def test_an_answer_says_how_many_calls_could_follow(name: str) -> None:
    assert limit_news(Answer(200, Headers({name: "4"}), b"")) == LimitNews(4)


@pytest.mark.parametrize("value", ["", "many", "-1", "inf", "nan"])
def test_nonsense_is_no_news(value: str) -> None:
    assert limit_news(Answer(200, Headers({"X-Ratelimit-Remaining": value}), b"")) is None
    assert limit_news(Answer(429, Headers({"X-Ratelimit-Retry": value}), b"")) == LimitNews()


@pytest.mark.parametrize(("told", "wait_s"), [("20", 20.0), ("18236", 18236.0), ("0", 1.0)])
def test_a_refusal_says_when_to_come_again_and_never_at_once(told: str, wait_s: float) -> None:
    answer = Answer(429, Headers({"X-RateLimit-Retry": told, "X-RateLimit-Remaining": "0"}), b'{"detail":"limited by 0192"}')

    assert limit_news(answer) == LimitNews(retry_after_s=wait_s)


def test_the_global_limiter_speaks_for_the_whole_account() -> None:
    words = b'{"detail":"Limited by global limiter, per seller 7f6c2a10; See https://dev.wildberries.ru/openapi/api-information"}'

    assert limit_news(Answer(429, Headers({"X-Ratelimit-Retry": "60"}), words)) == LimitNews(retry_after_s=60.0, whole_account=True)
