"""Troubles on demand: what a marketplace does to its clients on a bad day."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

FaultKind = Literal[
    "server_error",
    "bad_gateway",
    "disconnect",
    "cut",
    "rate_limited",
    "rate_limited_globally",
    "unauthorized",
    "method_gone",
    "undocumented",
    "slow",
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the next `times` matching requests meet, after `skip` of them went well.

    - `server_error` 500 with an empty body, `bad_gateway` 502 with a proxy's HTML page
    - `disconnect` the connection closes without an answer, `cut` in the middle of the usual one's body
    - `rate_limited` 429 of the method, `rate_limited_globally` of the seller's whole profile, both with `retry_s`
    - `unauthorized` 401 as for a revoked token, `method_gone` 404 as for a removed method
    - `undocumented` 200 with JSON of another shape
    - `slow` the usual answer after `delay_ms`

    `seller_id` and `path` (the marketplace's own, such as `/content/v2/get/cards/list`) narrow it down.
    """

    kind: FaultKind
    times: Annotated[int, msgspec.Meta(ge=1)] = 1
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    seller_id: UUID | None = None
    path: str | None = None
    retry_s: Annotated[int, msgspec.Meta(ge=1)] = 3600
    delay_ms: Annotated[int, msgspec.Meta(ge=0)] = 0


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
