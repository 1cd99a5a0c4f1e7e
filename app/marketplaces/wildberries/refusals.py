"""What Wildberries means by an answer that isn't the one we asked for.

Every part of Wildberries has its own form of error document, and new ones appear; what they have in common are the status and a few marked
words, so these are looked for in the whole body. Source: dev.wildberries.ru, "Introduction to API", and answers seen in 2026.
"""

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
BLOCKED_FOR = timedelta(hours=1)


class ClosedToKey(ScopeMissing):
    """The key has the category, and Wildberries does not open the method to tokens of its type."""


class NothingThere(UnexpectedResponse):
    """The method answered that there is no such thing as the path names."""


def refusal(answer: Answer, method: Method) -> MarketplaceError:
    """The error that an answer of a status other than 200 and 204 stands for."""
    excerpt = answer.excerpt
    words = answer.body.decode("utf-8", "replace").lower()
    match answer.status:
        case 401 if "scope not allowed" in words:
            return ScopeMissing(
                f"The key lacks the category “{method.category}”. Make a new one in which this box is ticked.",
                detail_ru=f"У ключа нет категории «{method.category.ru}». Создайте новый ключ, в котором она отмечена.",
                scope=method.category,
                excerpt=excerpt,
            )
        case 401 if "expired" in words:
            return CredentialsRejected(
                "Wildberries says that the key has expired.",
                detail_ru="Wildberries сообщает, что срок действия ключа истёк.",
                excerpt=excerpt,
            )
        case 401:
            return CredentialsRejected(
                "Wildberries does not accept the key.", detail_ru="Wildberries не принимает этот ключ.", excerpt=excerpt
            )
        case 402:
            # Of the service's own account at Wildberries, so no seller can do anything about it.
            return MarketplaceError(
                "Wildberries asks the operator of this service for payment.",
                detail_ru="Wildberries ждёт оплаты от владельца этого сервиса.",
                excerpt=excerpt,
            )
        case 403 if _is_json(answer):
            return ClosedToKey(method.closed[0], detail_ru=method.closed[1], scope=method.category, excerpt=excerpt)
        case 404 if any(mark in words for mark in ("plug-404", "temporarily disabled", "path not found")):
            return MethodGone(
                f"Wildberries no longer offers {method.path}, or has switched it off for now.",
                detail_ru=f"Wildberries больше не предлагает {method.path} или временно отключил этот метод.",
                excerpt=excerpt,
            )
        case 404 if _is_json(answer):
            detail, detail_ru = _answered(answer, method)
            return NothingThere(detail, detail_ru=detail_ru, excerpt=excerpt)
        case 405 | 410:
            return MethodGone(
                f"Wildberries no longer offers {method.verb} {method.path}.",
                detail_ru=f"Wildberries больше не предлагает {method.verb} {method.path}.",
                excerpt=excerpt,
            )
        case 406:
            # A temporary block; Wildberries doesn't say how long it lasts.
            return RateLimited(BLOCKED_FOR, excerpt=excerpt)
        case 429:
            return RateLimited(answer.wait("x-ratelimit-retry", USUAL_WAIT), excerpt=excerpt)
        case 408:
            return MarketplaceDown(
                "Wildberries gave up waiting for our request.", detail_ru="Wildberries не дождался нашего запроса.", excerpt=excerpt
            )
        case status if status >= 500:
            return MarketplaceDown(
                f"Wildberries is out of order (status {status}).", detail_ru=f"Wildberries не работает (статус {status}).", excerpt=excerpt
            )
        case _:
            detail, detail_ru = _answered(answer, method)
            return UnexpectedResponse(detail, detail_ru=detail_ru, excerpt=excerpt)


def _answered(answer: Answer, method: Method) -> tuple[str, str]:
    return (
        f"Wildberries answered {method.path} with status {answer.status}.",
        f"Wildberries ответил на {method.path} статусом {answer.status}.",
    )


def _is_json(answer: Answer) -> bool:
    """Whether a method answered, and not some gateway before it with a page of HTML."""
    return answer.body.lstrip()[:1] in (b"{", b"[")
