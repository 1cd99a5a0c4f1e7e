"""What Ozon means by an answer of a status other than 200.

All errors are `{"code", "message", "details"}`, where the code is one of gRPC's, by number or by name. Many causes share a status and a code, so the words
decide: a wrong key is 404 like a method that is gone, and a dead key is 403 like a missing role.
Source: docs.ozon.ru/api/seller, "Errors", as of 2026-10-01, and answers seen in 2026.
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
from app.marketplaces.ozon.methods import ROLE, Method

# Where a refusal doesn't say how long, or says nonsense: the limit is one of calls per second.
USUAL_WAIT = timedelta(seconds=1)
# "For a few minutes", says Ozon.
METHOD_CLOSED_FOR = timedelta(minutes=5)
TRACE_ID_LENGTH = 64


class MethodClosed(RateLimited):
    """Ozon closed this one method for a few minutes; the others work."""


class ShopBlocked(MarketplaceError):
    """Ozon keeps the whole shop from its API, until the seller has settled something with Ozon. The key is fine."""

    code = "shop_blocked"
    title = "The marketplace keeps the shop out"


def refusal(answer: Answer, method: Method) -> MarketplaceError:
    """The error that the answer stands for."""
    excerpt = excerpt_of(answer)
    words = answer.body.decode("utf-8", "replace").lower()
    match answer.status:
        case _ if "circle is open" in words:
            return MethodClosed(METHOD_CLOSED_FOR, excerpt=excerpt)
        case 404 if "invalid api-key" in words:
            return CredentialsRejected(
                "Ozon does not accept this pair of Client-Id and Api-Key.",
                detail_ru="Ozon не принимает эту пару Client-Id и Api-Key.",
                excerpt=excerpt,
            )
        case 403 if "deactivated" in words:
            return CredentialsRejected(
                "Ozon says that the key is deactivated: it expired, or was revoked. Make a new one.",
                detail_ru="Ozon сообщает, что ключ деактивирован: истёк или отозван. Создайте новый.",
                excerpt=excerpt,
            )
        case 403 if "restricted to specific ip" in words:
            return CredentialsRejected(
                "The key is restricted to IP addresses, and ours is none of them. Make a key without this restriction.",
                detail_ru="Ключ ограничен по IP-адресам, и нашего среди них нет. Создайте ключ без этого ограничения.",
                excerpt=excerpt,
            )
        case 403 if "missing a required role" in words:
            return ScopeMissing(
                f"The key has no role for {method.path}. Make a new one with the role “{ROLE}”.",
                detail_ru=f"У ключа нет роли для {method.path}. Создайте новый с ролью «{ROLE}».",
                scope=ROLE,
                excerpt=excerpt,
            )
        case 403 if "subscription" in words:
            return ScopeMissing(
                f"Ozon opens {method.path} only to shops with a Premium subscription.",
                detail_ru=f"Ozon открывает {method.path} только магазинам с подпиской Premium.",
                scope="Premium",
                excerpt=excerpt,
            )
        case 403 if "company is blocked" in words:
            return ShopBlocked(
                "Ozon has blocked the shop. Its support tells why.",
                detail_ru="Ozon заблокировал магазин. Обратитесь в поддержку Ozon.",
                excerpt=excerpt,
            )
        case 403 if "offer not signed" in words:
            return ShopBlocked(
                "Ozon waits for the seller to sign its new offer in the cabinet.",
                detail_ru="Ozon ждёт, пока продавец подпишет новую оферту в личном кабинете.",
                excerpt=excerpt,
            )
        case 401:
            return CredentialsRejected("Ozon does not accept the key.", detail_ru="Ozon не принимает этот ключ.", excerpt=excerpt)
        case 400 if "client-id" in words:
            return CredentialsRejected(
                "Ozon does not accept this Client-Id.", detail_ru="Ozon не принимает этот Client-Id.", excerpt=excerpt
            )
        case 400 if "obsolete method" in words:
            return _gone(method, excerpt)
        case 404 | 405 | 410:
            return _gone(method, excerpt)
        case 429:
            return RateLimited(answer.wait("retry-after", USUAL_WAIT), excerpt=excerpt)
        case 408:
            return MarketplaceDown("Ozon gave up waiting for our request.", detail_ru="Ozon не дождался нашего запроса.", excerpt=excerpt)
        case status if status >= 500:
            return MarketplaceDown(
                f"Ozon is out of order (status {status}).", detail_ru=f"Ozon не работает (статус {status}).", excerpt=excerpt
            )
        case status:
            return UnexpectedResponse(
                f"Ozon answered {method.path} with status {status}.",
                detail_ru=f"Ozon ответил на {method.path} статусом {status}.",
                excerpt=excerpt,
            )


def excerpt_of(answer: Answer) -> str:
    """The beginning of the answer, for the log, after the number by which Ozon's support finds the call."""
    trace_id = answer.headers.get("x-o3-trace-id", "")[:TRACE_ID_LENGTH]
    return f"[{trace_id}] {answer.excerpt}" if trace_id else answer.excerpt


def _gone(method: Method, excerpt: str) -> MethodGone:
    return MethodGone(f"Ozon no longer offers {method.path}.", detail_ru=f"Ozon больше не предлагает {method.path}.", excerpt=excerpt)
