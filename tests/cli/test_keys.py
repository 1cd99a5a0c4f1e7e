"""`stock-tracker keys`, and docs/key-rotation.md carried out."""

import asyncio
import re
import shlex
import subprocess
import time
from uuid import UUID

import asyncpg
import pytest

from app.api.roles import Caller, Role
from app.auth.tokens import issue_access_token, read_access_token
from app.database import system_scope, tenant_scope
from app.errors import Unauthenticated
from app.ids import new_id
from app.secret import Secret
from app.settings import new_master_key
from app.vault import Vault, key_id
from tests.cli.commands import COMMAND, ROOT, run
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio

RUNBOOK = (ROOT / "docs/key-rotation.md").read_text()
NOTED = "SELECT tenant_id, actor, action, facts FROM audit_log WHERE action LIKE 'keys.%' AND occurred_at >= $1 ORDER BY id"


class Keys:
    def __init__(self) -> None:
        self.old, self.new = new_master_key(), new_master_key()
        self.former, self.newest = key_id(Secret(self.old)), key_id(Secret(self.new))

    def vault(self, *masters: str) -> Vault:
        return Vault([Secret(master) for master in masters])


@pytest.fixture
def keys() -> Keys:
    return Keys()


async def store(vault: Vault, tenants: int = 1) -> list[UUID]:
    ids = [await create_tenant() for _ in range(tenants)]
    async with system_scope() as connection:
        for tenant_id in ids:
            sealed = vault.seal(Secret(f"key of {tenant_id}"), tenant_id=tenant_id, purpose="wildberries")
            await connection.execute("UPDATE tenants SET wb_credentials_encrypted = $2 WHERE id = $1", tenant_id, sealed)
    return ids


async def opened(vault: Vault, tenant_id: UUID) -> str:
    async with tenant_scope(tenant_id) as connection:
        sealed = await connection.fetchval("SELECT wb_credentials_encrypted FROM tenants")
    return vault.unseal(sealed, tenant_id=tenant_id, purpose="wildberries").reveal()


def begin_rotation(environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen([*COMMAND, "keys", "rotate"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


async def held(name: str) -> int:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT count(*) FROM tenants WHERE split_part(wb_credentials_encrypted, '.', 2) = $1", name)


async def test_status_says_what_each_key_holds_and_rotate_what_is_left(clean_database, environment, keys: Keys):
    [readable], [lost] = await store(keys.vault(keys.old)), await store(keys.vault(new_master_key()))
    environment["ENCRYPTION_MASTER_KEY"] = f"{keys.new},{keys.old}"
    async with system_scope() as connection:
        began = await connection.fetchval("SELECT clock_timestamp()")

    before, rotated, after = (run(environment, "keys", command) for command in ("status", "rotate", "status"))

    assert [before.returncode, rotated.returncode, after.returncode] == [1, 1, 1]
    assert re.search(rf"{keys.newest} +newest +0 .*\n{keys.former} +former +1 .*\n\w{{8}} +not configured +1 ", before.stdout), (
        before.stdout
    )
    assert re.search(rf"{keys.newest} +newest +1 .*\n{keys.former} +former +0 ", after.stdout), after.stdout
    assert str(lost) in rotated.stdout
    assert str(readable) not in rotated.stdout
    assert rotated.stdout.splitlines()[-1].startswith(
        f"Sealed with key {keys.newest}: 1. Left with another: 1; their key is not configured"
    )
    assert await opened(keys.vault(keys.new), readable) == f"key of {readable}"
    async with system_scope() as connection:
        noted = [tuple(row) for row in await connection.fetch(NOTED, began)]
    assert [row[:3] for row in noted] == [(None, "operator", "keys.rotation_started"), (None, "operator", "keys.rotated")]
    for said in (before, rotated, after):
        assert said.stderr == ""
        assert not any(secret in said.stdout for secret in (keys.old, keys.new, "key of"))


async def test_killed_in_the_middle_nothing_is_lost_and_the_next_one_finishes(clean_database, environment, keys: Keys):
    tenants = sorted(await store(keys.vault(keys.old), 450))
    environment["ENCRYPTION_MASTER_KEY"] = f"{keys.new},{keys.old}"
    holder = await asyncpg.connect(environment["DATABASE_URL"])
    await holder.execute("BEGIN; SET LOCAL app.scope = 'system'")
    # The second batch waits for this row.
    await holder.execute("SELECT FROM tenants WHERE id = $1 FOR UPDATE", tenants[300])

    first = begin_rotation(environment)
    deadline = time.monotonic() + 30
    while not (at := await held(keys.newest)) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    first.kill()
    first.communicate()
    await holder.execute("ROLLBACK")
    await holder.close()

    assert 0 < at < 450
    both = keys.vault(keys.new, keys.old)
    assert [await opened(both, tenant) for tenant in tenants[::50]] == [f"key of {tenant}" for tenant in tenants[::50]]
    second = run(environment, "keys", "rotate")
    assert second.returncode == 0, second.stdout
    assert second.stdout.splitlines()[-1] == f"Sealed with key {keys.newest}: {450 - at}. Left with another: 0."
    assert [await opened(keys.vault(keys.new), tenant) for tenant in tenants] == [f"key of {tenant}" for tenant in tenants]


async def test_two_at_once_share_the_work(clean_database, environment, keys: Keys):
    tenants = await store(keys.vault(keys.old), 450)
    environment["ENCRYPTION_MASTER_KEY"] = f"{keys.new},{keys.old}"

    both = [begin_rotation(environment) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum(int(re.findall(r"^Sealed with key \w+: (\d+)", each, re.MULTILINE)[0]) for each in said) == 450
    assert [await opened(keys.vault(keys.new), tenant) for tenant in tenants] == [f"key of {tenant}" for tenant in tenants]


async def test_nothing_starts_without_a_key_that_is_in_use(clean_database, environment, keys: Keys):
    [tenant] = await store(keys.vault(keys.new))
    async with tenant_scope(tenant) as connection:
        await connection.execute(
            "INSERT INTO idempotent_requests (id, tenant_id, key, answer_encrypted, created_at) VALUES ($1, $2, 'k', $3, now())",
            new_id(), tenant, keys.vault(keys.old).seal(Secret("{}"), tenant_id=tenant, purpose="idempotency"),
        )  # fmt: skip
    environment["ENCRYPTION_MASTER_KEY"] = keys.new

    refused = run(environment, "serve", "--port", "0")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("stock-tracker: ENCRYPTION_MASTER_KEY: 1 stored values were sealed with a key that is not configured")
    assert len(refused.stderr.splitlines()) == 1


def steps_under(heading: str) -> list[tuple[str, str]]:
    """The settings and commands of a section in order: (name, value) or ("", command)."""
    section = RUNBOOK.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^ {4,}((?:[A-Z_]+=\S+|stock-tracker [^\n]+))$", section, re.MULTILINE)
    return [(line.partition("=")[0], line.partition("=")[2]) if "=" in line.split()[0] else ("", line) for line in lines]


async def test_the_runbook_replaces_the_master_key(clean_database, environment, keys: Keys, sandbox_url):
    [tenant] = await store(keys.vault(keys.old))
    environment |= {"ENCRYPTION_MASTER_KEY": keys.old, "WB_CONTENT_API_URL": sandbox_url}
    steps = steps_under("Replace the master key")

    assert [value for name, value in steps if name] == ["OLD,NEW", "NEW,OLD", "NEW,OLD", "NEW,OLD", "NEW"]
    carried_out: list[str] = []
    for name, value in steps:
        if name:
            environment[name] = value.replace("OLD", keys.old).replace("NEW", keys.new)
            continue
        done = run(environment, *shlex.split(value)[1:])
        assert done.returncode == 0, f"{value}: {done.stdout}{done.stderr}"
        carried_out.append(done.stdout)
        vault = keys.vault(*environment["ENCRYPTION_MASTER_KEY"].split(","))
        assert await opened(vault, tenant) == f"key of {tenant}", value

    assert len(carried_out[0].strip()) == 44
    assert carried_out[3].splitlines()[-1] == f"Sealed with key {keys.newest}: 1. Left with another: 0."
    assert carried_out[4].splitlines()[-1] == "Every value is sealed with the newest key."


async def test_the_runbook_replaces_the_jwt_secret(clean_database, environment, sandbox_url):
    caller = Caller(new_id(), new_id(), new_id(), Role.OWNER)
    environment |= {"WB_CONTENT_API_URL": sandbox_url}
    present = [Secret("old" * 16)]
    first = issue_access_token(caller, present)

    for name, value in steps_under("Replace the JWT secret"):
        if not name:
            done = run(environment, *shlex.split(value)[1:])
            assert done.returncode == 0, f"{value}: {done.stdout}{done.stderr}"
            continue
        environment[name] = value.replace("OLD", "old" * 16).replace("NEW", "new" * 16)
        former, present = present, [Secret(each) for each in environment[name].split(",")]
        # A process that has been restarted and one that has not understand each other's tokens.
        assert read_access_token(issue_access_token(caller, former), present).caller == caller
        assert read_access_token(issue_access_token(caller, present), former).caller == caller

    assert [secret.reveal() for secret in present] == ["new" * 16]
    with pytest.raises(Unauthenticated):
        read_access_token(first, present)
