"""How far a stage came: written with the rows of its page, in the same transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from app.database import Connection
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.tables import Stage

SAVE = """
    INSERT INTO checkpoints (id, tenant_id, marketplace, stage, cursor, full_pass_run, full_pass_at, run_id, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
        ON CONFLICT (tenant_id, marketplace, stage) DO UPDATE
       SET cursor = excluded.cursor, run_id = excluded.run_id, full_pass_run = excluded.full_pass_run, full_pass_at = excluded.full_pass_at,
           updated_at = now()
"""


# What `Progressed` is made of.
COLUMNS = "cursor, full_pass_run, full_pass_at, extract(epoch FROM now() - full_pass_at)::float8, run_id, updated_at"


class Progressed(msgspec.Struct, frozen=True):
    """`cursor` is the marketplace's own, empty before the first page. `full_pass_run` is the run that walks everything now, if one does;
    `full_pass_at` is when a full pass was last completed; `full_pass_age_s` is how long ago that is by the database's clock. `run_id` is the run that wrote
    it: some cursors serve only within a run. `saved_at` is when that was."""

    cursor: bytes = b""
    full_pass_run: UUID | None = None
    full_pass_at: datetime | None = None
    full_pass_age_s: float | None = None
    run_id: UUID | None = None
    saved_at: datetime | None = None

    def says_no_more_than(self, stored: "Progressed") -> bool:
        """Whether the next run would begin in the same way by either."""
        return (self.cursor, self.full_pass_run, self.full_pass_at) == (stored.cursor, stored.full_pass_run, stored.full_pass_at)


async def save_checkpoint(connection: Connection, tenant_id: UUID, marketplace: Marketplace, stage: Stage, reached: Progressed) -> None:
    await connection.execute(
        SAVE, new_id(), tenant_id, marketplace, stage, reached.cursor, reached.full_pass_run, reached.full_pass_at, reached.run_id
    )


async def begin_again(connection: Connection, tenant_id: UUID, marketplace: Marketplace, stages: Sequence[Stage]) -> None:
    """Have the run that did these stages do them once more as if another had done them: from the start, but where the marketplace tells what changed since."""
    await connection.execute(
        "UPDATE checkpoints SET run_id = NULL WHERE tenant_id = $1 AND marketplace = $2 AND stage = ANY($3::text[])",
        tenant_id,
        marketplace,
        stages,
    )


async def lock_checkpoints(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    """Wait for the page that is just being written, if one is, before the caller goes on."""
    await connection.execute("SELECT FROM checkpoints WHERE tenant_id = $1 AND marketplace = $2 FOR UPDATE", tenant_id, marketplace)


async def forget_checkpoints(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    """Begin again with this account: its next sync is a first one."""
    await connection.execute("DELETE FROM checkpoints WHERE tenant_id = $1 AND marketplace = $2", tenant_id, marketplace)
