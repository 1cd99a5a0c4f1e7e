"""A run as the API tells it, and what each of its stages did."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from app.api.structs import In
from app.marketplaces.contract import Marketplace
from app.runs.tables import RunStatus, Stage, Trigger

StageStatus = Literal["pending", "running", "succeeded", "partial", "skipped", "failed"]


class ErrorOut(msgspec.Struct, frozen=True):
    """What went wrong: a stable code, and a sentence that a bot can show a seller."""

    code: str
    detail: str


class StageReport(msgspec.Struct, omit_defaults=False):
    """What a stage did so far. Counts are items: products in `products`, shelves (size and warehouse) in `stocks`, where
    `archived` counts the shelves that are gone.

    `requests` are calls to the marketplace, retries included; `waited_s` is the time spent on its limits; `rejected` items could not be understood.
    """

    name: Stage
    status: StageStatus = "pending"
    fetched: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    archived: int = 0
    rejected: int = 0
    requests: int = 0
    waited_s: float = 0.0
    duration_s: float = 0.0
    error: ErrorOut | None = None

    @property
    def changes(self) -> int:
        """How many items are not as they were."""
        return self.created + self.updated + self.archived


class Progress(msgspec.Struct, frozen=True):
    """Where a run is: items of the present stage, and of how many where that is known."""

    stage: Stage | None
    done: int
    total: int | None


class RunOut(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one marketplace account."""

    id: UUID
    marketplace: Marketplace
    trigger: Trigger
    status: RunStatus
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
