"""What the head of an answer of Wildberries says of its limits.

Source: dev.wildberries.ru, "Introduction to API", section on request limits, and answers seen in autumn 2026; names come in two spellings of
case. The global limiter, which holds for all methods of a seller, is told by its words alone.
"""

from app.marketplaces.exchange import Answer
from app.marketplaces.limits import LimitNews

_GLOBAL_LIMITER = b"global limiter"


def limit_news(answer: Answer) -> LimitNews | None:
    """None where it says nothing."""
    remaining = answer.number("x-ratelimit-remaining")
    if answer.status != 429:
        return None if remaining is None else LimitNews(int(remaining))
    retry_after_s = answer.number("x-ratelimit-retry")
    # 0 would be an invitation to a busy loop.
    wait_s = None if retry_after_s is None else max(retry_after_s, 1.0)
    return LimitNews(retry_after_s=wait_s, whole_account=_GLOBAL_LIMITER in answer.body.lower())
