"""What the head of an answer of Ozon says of its limits.

Source: docs.ozon.ru/api/seller, "Request limits", headers sent since 2026-09-25: `Ratelimit-Remaining`, and `Retry-After` in seconds on a 429.
"""

from app.marketplaces.exchange import Answer
from app.marketplaces.limits import LimitNews


def limit_news(answer: Answer) -> LimitNews | None:
    """None where it says nothing."""
    remaining = answer.number("ratelimit-remaining")
    if answer.status != 429:
        return None if remaining is None else LimitNews(int(remaining))
    retry_after_s = answer.number("retry-after")
    # 0 would be an invitation to a busy loop.
    return LimitNews(retry_after_s=None if retry_after_s is None else max(retry_after_s, 1.0))
