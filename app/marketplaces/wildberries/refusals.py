"""What Wildberries means by an answer that isn't the one we asked for.

Every part of Wildberries has its own form of error document, and new ones appear; what they have in common are the status and a few marked
words, so these are looked for in the whole body. Source: dev.wildberries.ru, "Introduction to API", and answers seen in 2026.
"""

import math
from collections.abc import Mapping
from datetime import timedelta

from app.marketplaces.errors import (
    CredentialsRejected,
    MarketplaceDown,
    MarketplaceError,
    MethodGone,
    RateLimited,
    ScopeMissing,
    UnexpectedResponse,
)
from app.marketplaces.exchange import Answer
from app.marketplaces.wildberries.methods import Method

# Where a refusal doesn't say how long, or says nonsense.
USUAL_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1)
BLOCKED_FOR = timedelta(hours=1)


def refusal(answer: Answer, method: Method) -> MarketplaceError:
    """The error that an answer of a status other than 200 and 204 stands for."""
    excerpt = answer.excerpt
    words = answer.body.decode("utf-8", "replace").lower()
    match answer.status:
        case 401 if "scope not allowed" in words:
            sentence = f"The key lacks the category “{method.category}”. Make a new one in which this box is ticked."
            return ScopeMissing(sentence, scope=method.category, excerpt=excerpt)
        case 401 if "expired" in words:
            return CredentialsRejected("Wildberries says that the key has expired.", excerpt=excerpt)
        case 401:
            return CredentialsRejected("Wildberries does not accept the key.", excerpt=excerpt)
        case 402:
            # Of the service's own account at Wildberries, so no seller can do anything about it.
            return MarketplaceError("Wildberries asks the operator of this service for payment.", excerpt=excerpt)
        case 403 if _is_json(answer):
            return ScopeMissing(method.closed, scope=method.category, excerpt=excerpt)
        case 404 if any(mark in words for mark in ("plug-404", "temporarily disabled", "path not found")):
            return MethodGone(f"Wildberries no longer offers {method.path}, or has switched it off for now.", excerpt=excerpt)
        case 405 | 410:
            return MethodGone(f"Wildberries no longer offers {method.verb} {method.path}.", excerpt=excerpt)
        case 406:
            # A temporary block; Wildberries doesn't say how long it lasts.
            return RateLimited(BLOCKED_FOR, excerpt=excerpt)
        case 429:
            return RateLimited(_wait(answer.headers), excerpt=excerpt)
        case 408:
            return MarketplaceDown("Wildberries gave up waiting for our request.", excerpt=excerpt)
        case status if status >= 500:
            return MarketplaceDown(f"Wildberries is out of order (status {status}).", excerpt=excerpt)
        case status:
            return UnexpectedResponse(f"Wildberries answered {method.path} with status {status}.", excerpt=excerpt)


def _is_json(answer: Answer) -> bool:
    """Whether a method answered, and not some gateway before it with a page of HTML."""
    return answer.body.lstrip()[:1] in (b"{", b"[")


def _wait(headers: Mapping[str, str]) -> timedelta:
    try:
        wait_s = float(headers.get("x-ratelimit-retry", ""))
    except ValueError:
        return USUAL_WAIT
    if not math.isfinite(wait_s) or wait_s < 0:
        return USUAL_WAIT
    # 0 would be an invitation to a busy loop.
    return timedelta(seconds=min(max(wait_s, 1.0), LONGEST_WAIT.total_seconds()))
