"""Master keys, for an operator: make one, see what each still holds, seal everything with the newest. docs/key-rotation.md says in which order."""

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.operating import carry_out, console, print_table
from app.credentials.rotation import count_left, note_rotation, rotate
from app.credentials.sealed import SEALED, count_by_key
from app.database import system_scope
from app.settings import new_master_key
from app.vault import Vault, get_vault

MOST_NAMED = 20


def generate() -> None:
    """A new master key on a line."""
    click.echo(new_master_key())


def show_status() -> int:
    """How many values each master key holds. Gives 1 if there are values that no configured key opens."""

    async def work() -> dict[str, dict[str, int]]:
        async with system_scope() as connection:
            return await count_by_key(connection)

    counted = carry_out(work)
    vault = get_vault()
    purposes = [each.purpose for each in SEALED]
    print_table(
        ("key", "is", *purposes, "all"),
        [
            (name or "–", _standing(name, vault), *(str(counted.get(name, {}).get(purpose, 0)) for purpose in purposes), str(_all(counted, name)))
            for name in [*vault.key_order, *sorted(counted.keys() - vault.key_ids)]
        ],
    )  # fmt: skip
    missing = sum(_all(counted, name) for name in counted.keys() - vault.key_ids)
    former = sum(_all(counted, name) for name in vault.key_ids - {vault.newest})
    if missing:
        console().print(f"Can't be opened: {missing}. Add their key to ENCRYPTION_MASTER_KEY, or let the sellers enter theirs again.")
    elif former:
        console().print(f"Waiting for `stock-tracker keys rotate`: {former}.")
    else:
        console().print("Every value is sealed with the newest key.")
    return 1 if missing else 0


def rotate_keys() -> int:
    """Seal everything with the newest master key. Gives 1 if something is left that could not be opened, or was added with a former key meanwhile."""
    vault = get_vault()

    async def work() -> tuple[int, int, dict[str, list[str]]]:
        resealed, unreadable = 0, dict[str, list[str]]()
        to_do = await count_left(vault)
        await note_rotation("keys.rotation_started", vault, {"values": to_do})
        with _progress() as progress:
            bar = progress.add_task("Sealing anew", total=to_do)
            async for step in rotate(vault):
                resealed += step.resealed
                for each in step.unreadable:
                    unreadable.setdefault(step.column.purpose, []).append(str(each.tenant_id))
                progress.advance(bar, step.seen)
        left = await count_left(vault)
        await note_rotation("keys.rotated", vault, {"values": resealed, "left": left})
        return resealed, left, unreadable

    resealed, left, unreadable = carry_out(work)
    out = console()
    for purpose, tenants in unreadable.items():
        more = f" and {len(tenants) - MOST_NAMED} more" if len(tenants) > MOST_NAMED else ""
        out.print(f"Not opened ({purpose}), of tenants: {', '.join(tenants[:MOST_NAMED])}{more}.")
    if left:
        out.print(f"Sealed with key {vault.newest}: {resealed}. Left with another: {left}; {_advice(left, unreadable)}")
    else:
        out.print(f"Sealed with key {vault.newest}: {resealed}. Left with another: 0.")
    return 1 if left else 0


def _advice(left: int, unreadable: dict[str, list[str]]) -> str:
    if left > sum(map(len, unreadable.values())):
        return "some process still seals with a former key. Restart all with the new one in front, and rotate again."
    return "their key is not configured, or they are damaged. See `stock-tracker keys status`."


def _standing(name: str, vault: Vault) -> str:
    if name == vault.newest:
        return "newest"
    return "former" if name in vault.key_ids else "not configured"


def _all(counted: dict[str, dict[str, int]], name: str) -> int:
    return sum(counted.get(name, {}).values())


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console())
