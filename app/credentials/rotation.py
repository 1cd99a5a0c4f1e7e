"""Sealing all stored values anew with the newest master key, while everything else goes on.

What is left to do is what is not named by the newest key, so a rotation that was killed goes on where it was, and two at once share the work. A value is
replaced only if it is still the one that was opened: a seller who gives another key meanwhile keeps that.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple
from uuid import UUID

from app.audit.deeds import Deed
from app.audit.service import record
from app.credentials.sealed import KEY_ID, SEALED, SealedColumn, count_by_key
from app.database import Connection, system_scope
from app.vault import CredentialsUnreadable, Vault

BATCH = 200
"""Rows that are locked at once, for the milliseconds of one write."""

FIRST = UUID(int=0)


class Sealed(NamedTuple):
    """A stored value and its place."""

    id: UUID
    tenant_id: UUID
    value: str


class Step(NamedTuple):
    """What became of a batch: how many values were looked at, how many of them were sealed anew, and which could not be opened. The rest was replaced or
    erased meanwhile."""

    column: SealedColumn
    seen: int
    resealed: int
    unreadable: tuple[Sealed, ...]


async def count_left(vault: Vault) -> int:
    """How many values are not named by the newest key."""
    async with system_scope() as connection:
        counted = await count_by_key(connection)
    return sum(sum(counts.values()) for name, counts in counted.items() if name != vault.newest)


async def rotate(vault: Vault) -> AsyncIterator[Step]:
    """Walk over all values that another key than the newest holds, batch by batch, each in a transaction of its own. Values that don't open stay as they are."""
    for column in SEALED:
        behind = FIRST
        while batch := await _next_batch(vault, column, behind):
            behind = batch[-1].id
            yield await _reseal(vault, column, batch)


async def note_rotation(action: Deed, vault: Vault, facts: dict[str, object]) -> None:
    """Write it into the operators' part of the audit log."""
    async with system_scope() as connection:
        await record(connection, None, "operator", action, {"newest_key": vault.newest, **facts})


async def _next_batch(vault: Vault, column: SealedColumn, behind: UUID) -> list[Sealed]:
    async with system_scope() as connection:
        rows = await connection.fetch(
            f"SELECT id, {column.tenant} AS tenant_id, {column.column} AS value FROM {column.table} "
            f"WHERE {column.column} IS NOT NULL AND {KEY_ID.format(column.column)} <> $1 AND id > $2 ORDER BY id LIMIT {BATCH}",
            vault.newest,
            behind,
        )
    return [Sealed(row["id"], row["tenant_id"], row["value"]) for row in rows]


async def _reseal(vault: Vault, column: SealedColumn, batch: Sequence[Sealed]) -> Step:
    unreadable: list[Sealed] = []
    anew: list[tuple[Sealed, str]] = []
    for each in batch:
        try:
            opened = vault.unseal(each.value, tenant_id=each.tenant_id, purpose=column.purpose)
        except CredentialsUnreadable:
            unreadable.append(each)
        else:
            anew.append((each, vault.seal(opened, tenant_id=each.tenant_id, purpose=column.purpose)))
    async with system_scope() as connection:
        resealed = await _replace(connection, column, anew)
    return Step(column, len(batch), resealed, tuple(unreadable))


async def _replace(connection: Connection, column: SealedColumn, anew: Sequence[tuple[Sealed, str]]) -> int:
    ids = [old.id for old, _ in anew]
    # In one order, so that two rotations never wait for each other in a circle.
    await connection.execute(f"SELECT FROM {column.table} WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids)
    tag = await connection.execute(
        f"UPDATE {column.table} SET {column.column} = anew.value FROM unnest($1::uuid[], $2::text[], $3::text[]) AS anew (id, former, value) "
        f"WHERE {column.table}.id = anew.id AND {column.column} = anew.former",
        ids,
        [old.value for old, _ in anew],
        [value for _, value in anew],
    )
    return int(tag.removeprefix("UPDATE "))
