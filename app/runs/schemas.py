"""A run as the API tells it, and what each of its stages did."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from app.api.structs import In
from app.marketplaces.contract import Marketplace, Rejected
from app.runs.tables import RunStatus, Stage, Trigger

MOST_REJECTIONS = 3

StageStatus = Literal["pending", "running", "succeeded", "partial", "skipped", "failed"]


class ErrorOut(msgspec.Struct, frozen=True):
    """What went wrong: a stable code, and a sentence that a bot can show a seller."""

    code: str
    detail: str


class StageReport(msgspec.Struct, omit_defaults=False):
    """What a stage did so far. Counts are items: products in `products`, their prices in `prices`, shelves (size and warehouse) in `stocks`, where
    `archived` counts the shelves that are gone, and orders in `orders`.

    `requests` are calls to the marketplace, retries included; `waited_s` is the time spent on its limits; `rejected` items could not be understood, or
    belong to products that the catalogue does not show, and `rejections` says why, of the first three. A stage that the marketplace asked for patience
    is `pending` until `not_before`, while the others go on; its `error` says why it waits.
    """

    name: Stage
    status: StageStatus = "pending"
    fetched: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    archived: int = 0
    rejected: int = 0
    rejections: list[str] = []
    requests: int = 0
    waited_s: float = 0.0
    duration_s: float = 0.0
    error: ErrorOut | None = None
    not_before: datetime | None = None

    def reject(self, items: Iterable[Rejected]) -> None:
        """Count items that were left out, and keep the first reasons."""
        for item in items:
            self.rejected += 1
            if len(self.rejections) < MOST_REJECTIONS:
                # A new list: who keeps the report as it was must not see it grow.
                self.rejections = [*self.rejections, f"{item.external_id or '?'}"[:40] + f": {item.reason}"[:160]]

    @property
    def changes(self) -> int:
        """How many items are not as they were."""
        return self.created + self.updated + self.archived


class Notice(msgspec.Struct, frozen=True):
    """What the end of a run tells of one kind of event: how many products or orders, and the ids of the first `MOST_NOTED` of them."""

    total: int = 0
    ids: tuple[UUID, ...] = ()


class Progress(msgspec.Struct, frozen=True):
    """Where a run is: items of the present stage, and of how many where that is known."""

    stage: Stage | None
    done: int
    total: int | None


class RunOut(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one marketplace account. `paused`: it is queued, and an operator holds it up; when that ends, it goes on from where it was."""

    id: UUID
    marketplace: Marketplace
    trigger: Trigger
    status: RunStatus
    paused: bool
    full: bool
    progress: Progress
    stages: list[StageReport]
    error: ErrorOut | None
    not_before: datetime | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class SyncIn(In, frozen=True):
    """What to copy. Left out: the tenant's marketplace, all stages, and only what changed."""

    marketplace: Marketplace | None = None
    scopes: Annotated[list[Stage], Meta(min_length=1, max_length=len(Stage))] | None = None
    full: bool = False
