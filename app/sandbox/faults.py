"""Troubles on demand: what a marketplace does to its clients on a bad day."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias, cast
from uuid import UUID

import msgspec

from app.sandbox.messages import Answer

FaultKind = Literal[
    "server_error",
    "bad_gateway",
    "unavailable",
    "html",
    "disconnect",
    "cut",
    "reset",
    "truncated",
    "rate_limited",
    "rate_limited_globally",
    "unauthorized",
    "payment_required",
    "method_gone",
    "undocumented",
    "slow",
    "trickle",
    "empty_page",
    "repeated_cursor",
    "duplicate_items",
    "malformed_item",
    "late_data",
    "report_stuck",
    "report_canceled",
    "key_deactivated",
    "role_missing",
    "ip_restricted",
    "company_blocked",
    "offer_not_signed",
    "method_obsolete",
    "circle_open",
    "promised_page",
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the next `times` matching requests meet, after `skip` of them went well.

    Instead of the usual answer:
    - `server_error` 500 with an empty body, `bad_gateway` 502 with a proxy's HTML page, `unavailable` 503 with nothing
    - `html` 200 with a page for people
    - `disconnect` the connection closes without an answer
    - `rate_limited` 429 of the method, `rate_limited_globally` of the seller's whole profile, both with `retry_s`
    - `unauthorized` 401 as for a revoked token, `payment_required` 402, `method_gone` 404 as for a removed method
    - `undocumented` 200 with JSON of another shape

    The usual answer, spoiled:
    - `cut` the connection closes in the middle of the body, `reset` it is reset there, `truncated` half of the body, which HTTP calls complete
    - `slow` after `delay_ms`, `trickle` piece by piece over `delay_ms`
    - `empty_page` without its items, `duplicate_items` with each twice, `malformed_item` with one whose numbers are none
    - `repeated_cursor` with the cursor of the request, `late_data` as it was `late_s` ago
    - `report_stuck` a report that is done is said to be in processing, `report_canceled` to be canceled

    Ozon's own, which Wildberries' answers don't know:
    - `key_deactivated`, `role_missing`, `ip_restricted`, `company_blocked`, `offer_not_signed`, `method_obsolete`, `circle_open` in its words
    - `promised_page` the last page of a list says that another follows, which is empty

    There `unauthorized` is 404 as for a wrong key, and `payment_required` 403 as without a subscription.

    `seller_id` and `path` (the marketplace's own, such as `/content/v2/get/cards/list` or `/api/v3/stocks/{warehouseId}`) narrow it down.
    """

    kind: FaultKind
    times: Annotated[int, msgspec.Meta(ge=1)] = 1
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    seller_id: UUID | None = None
    path: str | None = None
    retry_s: Annotated[int, msgspec.Meta(ge=1)] = 3600
    delay_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    late_s: Annotated[int, msgspec.Meta(ge=0)] = 3600


class Faults:
    """The faults that are still to come, in the order in which they were asked for; a request meets one at most."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def waiting(self) -> list[Fault]:
        return list(self._waiting)

    def take(self, seller_id: UUID | None, path: str) -> Fault | None:
        """What this request meets, if anything; it is used up by that."""
        for index, fault in enumerate(self._waiting):
            if fault.seller_id not in (None, seller_id) or fault.path not in (None, path):
                continue
            if fault.skip:
                self._waiting[index] = msgspec.structs.replace(fault, skip=fault.skip - 1)
                return None
            if fault.times > 1:
                self._waiting[index] = msgspec.structs.replace(fault, times=fault.times - 1)
            else:
                del self._waiting[index]
            return fault
        return None


def instead(fault: Fault) -> Answer | None:
    """What comes instead of the usual answer, where that doesn't depend on the marketplace's language."""
    match fault.kind:
        case "server_error":
            return Answer(500)
        case "bad_gateway":
            return Answer(502, _BAD_GATEWAY_PAGE, b"text/html")
        case "unavailable":
            return Answer(503)
        case "html":
            return Answer(200, _MAINTENANCE_PAGE, b"text/html; charset=utf-8")
        case "disconnect":
            return Answer(500, broken="disconnect")
        case "undocumented":
            return Answer(200, _UNDOCUMENTED)
        case _:
            return None


def asked_at(fault: Fault | None, now: datetime) -> datetime:
    """The instant as of which the usual answer is to be given."""
    return now - timedelta(seconds=fault.late_s) if fault and fault.kind == "late_data" else now


def spoil(fault: Fault, answer: Answer, question: bytes) -> Answer:
    """The usual answer as this fault leaves it; `question` is the body of the request."""
    match fault.kind:
        case "cut" | "reset":
            answer.broken = fault.kind
        case "truncated":
            answer.body = answer.body[: len(answer.body) // 2]
        case "trickle":
            answer.trickle_ms = fault.delay_ms
        case "empty_page" | "duplicate_items" | "malformed_item" | "repeated_cursor" | "report_stuck" | "report_canceled":
            if answer.status == 200:
                answer.body = msgspec.json.encode(_distorted(fault.kind, msgspec.json.decode(answer.body), question))
        case _:
            pass
    return answer


_CURSOR_FIELDS = ("cursor", "last_id", "next", "updatedAt", "trashedAt", "nmID")

# JSON as it comes: pyright would call the elements of a list or dict that it narrows from Any unknown.
Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]


def _distorted(kind: FaultKind, body: Json, question: bytes) -> Json:
    items = next(_lists_of_items(body), list[JsonObject]())
    match kind:
        case "empty_page":
            items.clear()
            for _, cursor in _holders(body, ("nmID",)):
                # Wildberries' cursor of cards counts the cards of its page.
                cursor["total"] = 0
        case "duplicate_items":
            items.extend(list(items))
        case "malformed_item":
            for item in items[len(items) // 2 :][:1]:
                item.update({name: "?" for name, value in item.items() if isinstance(value, int | float)})
        case "repeated_cursor":
            asked = {name: holder[name] for name, holder in _holders(msgspec.json.decode(question or b"{}"))}
            for name, holder in _holders(body):
                holder[name] = asked.get(name, holder[name])
        case "report_stuck" | "report_canceled":
            for name, holder in _holders(body, ("status",)):
                holder[name] = "processing" if kind == "report_stuck" else "canceled"
        case _:
            pass
    return body


def _lists_of_items(body: Json) -> Iterator[list[JsonObject]]:
    """Lists of objects, outermost first: the first of an answer is what it is about."""
    if isinstance(body, list):
        elements = cast("list[Json]", body)
        if elements and isinstance(elements[0], dict):
            yield elements
    elif isinstance(body, dict):
        for value in cast(JsonObject, body).values():
            yield from _lists_of_items(value)


def _holders(node: Json, names: Sequence[str] = _CURSOR_FIELDS) -> list[tuple[str, JsonObject]]:
    """Each field of such a name that is a plain value, and the object that holds it, but for those of items."""
    found: list[tuple[str, JsonObject]] = []
    if isinstance(node, dict):
        fields = cast(JsonObject, node)
        for name, value in fields.items():
            if isinstance(value, dict):
                found += _holders(value, names)
            elif name in names and not isinstance(value, list):
                found.append((name, fields))
    return found


_BAD_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"
)
_MAINTENANCE_PAGE = "<!doctype html><html><head><title>Технические работы</title></head><body><p>Скоро вернёмся.</p></body></html>".encode()
_UNDOCUMENTED = b'{"result":{"rows":[{"article":"?"}],"more":false}}'
