"""What is queued, running and done. These rows are the truth; a message in Redis only wakes a worker."""

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Array, Boolean, Bytea, ForeignKey, Integer, SmallInt, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.constraints import Unique
from piccolo.table import Table

from app.marketplaces.contract import Marketplace
from app.tenants.tables import Tenant


class Stage(StrEnum):
    """A part of a run, in the order in which they are carried out."""

    PRODUCTS = "products"
    PRICES = "prices"
    STOCKS = "stocks"
    ORDERS = "orders"


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Trigger(StrEnum):
    """Why a run was asked for. `manual`: somebody pressed a button; `api`: a program asked through the task."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    CREDENTIALS = "credentials"
    API = "api"


# Lower is sooner. Somebody waits for a manual run and for the first one after a key; nobody does for the schedule's.
PRIORITY = {Trigger.MANUAL: 0, Trigger.CREDENTIALS: 0, Trigger.API: 5, Trigger.SCHEDULE: 10}
"""Of a run, by its trigger: lower is sooner."""


class SyncRun(Table, tablename="sync_runs"):
    """One run of one marketplace account. At most one of a tenant and marketplace is queued or running."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    marketplace = Varchar(length=20, default=None, choices=Marketplace)
    trigger = Varchar(length=20, default=None, choices=Trigger)
    scopes = Array(base_column=Varchar(length=20), default=None, help_text="The stages that were asked for.")
    full = Boolean(default=False, help_text="Walk everything again instead of what changed.")
    status = Varchar(length=20, default=None, choices=RunStatus)
    priority = SmallInt(default=None, help_text="Lower is sooner: a seller who waits comes before the schedule.")
    not_before = Timestamptz(default=None, help_text="A queued run is due from then on.")
    attempt = Integer(default=0, help_text="The fencing number: each claim raises it, each write of the run checks it.")
    crashes = Integer(default=0, help_text="How often a worker vanished with it.")
    lease_until = Timestamptz(default=None, null=True, help_text="A running run belongs to its worker until then.")
    worker = Varchar(length=100, default=None, null=True)
    stage = Varchar(length=20, default=None, null=True, choices=Stage, help_text="Where it is.")
    stages = JSONB(default="[]", help_text="What each stage did: app.runs.schemas.StageReport.")
    done = Integer(default=0, help_text="Items of the present stage so far.")
    total = Integer(default=None, null=True, help_text="Items of the present stage where known.")
    error_code = Varchar(length=50, default=None, null=True)
    error_detail = Varchar(length=500, default=None, null=True)
    notices = JSONB(
        default=None,
        null=True,
        help_text="What its end is to tell beside how it went: app.runs.schemas.Notice by event type. Null: nothing, or it was told.",
    )
    revision = Integer(default=0, help_text="Raised by each write that somebody who looks on would see; the heartbeat's is none.")
    queued_at = Timestamptz(default=None)
    rung_at = Timestamptz(default=None, null=True, help_text="When a worker was last woken for it.")
    started_at = Timestamptz(default=None, null=True)
    finished_at = Timestamptz(default=None, null=True)


class SyncPause(Table, tablename="sync_pauses"):
    """Syncs that an operator holds up: no run that a row matches is claimed, and the schedule adds none. Nearly always there is no row."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=True, default=None, db_column_name="tenant_id", help_text="Null: all tenants.")
    marketplace = Varchar(length=20, default=None, null=True, choices=Marketplace, help_text="Null: both marketplaces.")
    reason = Varchar(length=200, default="", help_text="The operator's words, for other operators.")
    paused_at = Timestamptz(default=None)

    sync_pauses_one_of_a_kind = Unique([tenant, marketplace], nulls_distinct=False)


class SyncLog(Table, tablename="sync_logs"):
    """One operation of a run: a stage, with what it did, how long it took, and what stopped it."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    run = ForeignKey(SyncRun, null=True, default=None, db_column_name="run_id", on_delete=OnDelete.set_null)
    marketplace = Varchar(length=20, default=None, choices=Marketplace)
    operation = Varchar(length=20, default=None, help_text="The stage's name.")
    status = Varchar(length=20, default=None, help_text="succeeded, skipped or failed.")
    fetched = Integer(default=0)
    created = Integer(default=0)
    updated = Integer(default=0)
    unchanged = Integer(default=0)
    archived = Integer(default=0)
    rejected = Integer(default=0)
    requests = Integer(default=0)
    duration_ms = Integer(default=0)
    error_code = Varchar(length=50, default=None, null=True)
    error_detail = Varchar(length=500, default=None, null=True)
    started_at = Timestamptz(default=None)
    finished_at = Timestamptz(default=None)


class Checkpoint(Table, tablename="checkpoints"):
    """How far a stage of a marketplace account came. Written with the rows of its page, in one transaction."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    marketplace = Varchar(length=20, default=None, choices=Marketplace)
    stage = Varchar(length=20, default=None, choices=Stage)
    run = UUID(default=None, null=True, db_column_name="run_id", help_text="Which run wrote it: some cursors serve only within a run.")
    cursor = Bytea(default=None, help_text="The marketplace's own cursor; empty: from the start.")
    full_pass_run = UUID(default=None, null=True, help_text="The run whose full pass is under way.")
    full_pass_at = Timestamptz(default=None, null=True, help_text="When a full pass was last completed.")
    updated_at = Timestamptz(default=None)

    checkpoints_one_per_stage = Unique([tenant, marketplace, stage])


class Sighting(Table, tablename="sightings"):
    """The products that a full pass met on some pages. When the pass is complete, what no row names is archived, and the rows go.

    Rows of ids rather than a mark on each product: an unchanged product is not written.
    """

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id", index=True)
    marketplace = Varchar(length=20, default=None, choices=Marketplace)
    external_ids = Array(base_column=Varchar(length=40), default=list)
