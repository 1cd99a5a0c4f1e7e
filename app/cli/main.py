"""The `stock-tracker` command. A command imports what it needs when it is called, so that each starts at once."""

import sys

import click

from app.errors import StockTrackerError


class OneLineErrors(click.Group):
    """What stops a start, or what a command refuses, is one clear line and exit code 2, never a trace."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StockTrackerError as error:
            click.echo(f"stock-tracker: {error.detail}", err=True)
            sys.exit(2)


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The backend behind Telegram bots for Wildberries and Ozon sellers."""


@main.command()
@click.option(
    "--once", is_flag=True, help="Play the whole flow as a bot would, print it, and stop. Exit code 0 only if all of it happened."
)
@click.option("--port", type=click.IntRange(0, 65535), help="Of the API; API_PORT otherwise. 0 takes a free one.")
@click.option("--real", is_flag=True, help="The real marketplaces instead of the sandbox; --once then takes the key from WB_API_KEY.")
def dev(once: bool, port: int | None, real: bool) -> None:
    """Everything in one go on this machine: servers, migrations, sandbox, API, worker, scheduler."""
    from app.cli.dev import run_everything

    sys.exit(run_everything(once=once, port=port, real=real))


@main.command()
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the port.")
@click.option("--host", help="API_HOST otherwise.")
@click.option("--port", type=click.IntRange(0, 65535), help="API_PORT otherwise.")
def serve(workers: int, host: str | None, port: int | None) -> None:
    """The API."""
    from app.cli.serve import serve_api

    serve_api(workers=workers, host=host, port=port)


@main.command()
@click.option("--concurrency", type=click.IntRange(1, 1000), default=64, show_default=True, help="Jobs at once in a process.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True)
def worker(concurrency: int, processes: int) -> None:
    """Carries out syncs and delivers webhooks. Start as many as you like, anywhere."""
    from app.cli.processes import run_processes

    run_processes("workers.main", "worker", processes, [str(concurrency)])


@main.command()
def scheduler() -> None:
    """Puts due work on the queue and finds what was lost. Any number may run; each piece of work is taken by one."""
    from app.cli.processes import run_processes

    run_processes("workers.scheduler", "scheduler", 1, [])


@main.command()
@click.option("--check", is_flag=True, help="Change nothing; fail where the tables and the migrations differ.")
def migrate(check: bool) -> None:
    """Bring the database to the present form."""
    from app.cli.migrate import check_migrations, run_migrations

    if check:
        check_migrations()
    else:
        run_migrations()


@main.group()
def keys() -> None:
    """Master keys."""


@keys.command("generate")
def generate_key() -> None:
    """Print a new master key, for ENCRYPTION_MASTER_KEY."""
    from app.cli.keys import generate

    generate()


@keys.command("status")
def keys_status() -> None:
    """How many values each key still holds. Exit code 1 if no configured key opens some."""
    from app.cli.keys import show_status

    sys.exit(show_status())


@keys.command("rotate")
def rotate_keys() -> None:
    """Seal everything with the newest key, while the service runs. May be killed and run again; exit code 0 when nothing is left."""
    from app.cli.keys import rotate_keys

    sys.exit(rotate_keys())


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8100, show_default=True)
def sandbox(host: str, port: int) -> None:
    """The sandbox marketplaces alone."""
    from app.cli.sandbox import run_sandbox

    run_sandbox(host, port)


marketplace_option = click.option("--marketplace", type=click.Choice(["wildberries", "ozon"]), help="Both otherwise.")
reason_option = click.option("--reason", default="", metavar="TEXT", help="For other operators, at most 200 characters.")
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
limit_option = click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
tenant_argument = click.argument("tenant")


@main.group()
def tenants() -> None:
    """Tenants, for support. TENANT is an id, its first 8 or more digits, or a user's e-mail address."""


@tenants.command("list")
@click.option("--paused", is_flag=True, help="Those that are held up.")
@limit_option
@json_option
def list_tenants(paused: bool, limit: int, as_json: bool) -> None:
    """Who is there, newest first."""
    from app.cli.tenants import list_tenants

    list_tenants(paused=paused, limit=limit, as_json=as_json)


@tenants.command("show")
@tenant_argument
@json_option
def show_tenant(tenant: str, as_json: bool) -> None:
    """How one is: its keys (masked), its schedule, its last runs, and what waits for what."""
    from app.cli.tenants import show_tenant

    show_tenant(tenant, as_json=as_json)


@tenants.command("pause")
@tenant_argument
@marketplace_option
@reason_option
def pause_tenant(tenant: str, marketplace: str | None, reason: str) -> None:
    """Hold its syncs up. Running ones stop at their last page and go on from there when they are resumed."""
    from app.cli.runs import pause

    pause(marketplace, reason, tenant)


@tenants.command("resume")
@tenant_argument
@marketplace_option
def resume_tenant(tenant: str, marketplace: str | None) -> None:
    """Let its syncs go on."""
    from app.cli.runs import resume

    resume(marketplace, tenant)


@tenants.command("erase")
@tenant_argument
@click.option("--yes", is_flag=True, help="Don't ask.")
def erase_tenant(tenant: str, yes: bool) -> None:
    """Erase one for good, with all that is kept of it. May be killed: a scheduler goes on, or the same command."""
    from app.cli.erasure import erase_tenant

    erase_tenant(tenant, yes=yes)


@main.group()
def runs() -> None:
    """Syncs, for operators. RUN is an id, or its first 8 or more digits."""


@runs.command("list")
@click.option("--status", type=click.Choice(["queued", "running", "succeeded", "partial", "failed", "cancelled"]))
@click.option("--tenant", help="Of this tenant: an id, its beginning, or an e-mail address.")
@click.option("--dead", is_flag=True, help="Those that killed their worker three times.")
@limit_option
@json_option
def list_runs(status: str | None, tenant: str | None, dead: bool, limit: int, as_json: bool) -> None:
    """What goes on and what was, newest first."""
    from app.cli.runs import list_runs

    list_runs(status=status, tenant=tenant, limit=limit, dead=dead, as_json=as_json)


@runs.command("show")
@click.argument("run")
@json_option
def show_run(run: str, as_json: bool) -> None:
    """What one did, stage by stage, and what it waits for."""
    from app.cli.runs import show_run

    show_run(run, as_json=as_json)


@runs.command("pause")
@marketplace_option
@reason_option
def pause_runs(marketplace: str | None, reason: str) -> None:
    """Hold up all syncs, of all tenants."""
    from app.cli.runs import pause

    pause(marketplace, reason)


@runs.command("resume")
@marketplace_option
def resume_runs(marketplace: str | None) -> None:
    """End that. Tenants that were paused by themselves stay so."""
    from app.cli.runs import resume

    resume(marketplace)


@runs.command("retry")
@click.argument("run")
def retry_run(run: str) -> None:
    """Ask again for the account of a run that is dead or did not succeed, with its stages."""
    from app.cli.runs import retry

    retry(run)


@main.group("service-keys")
def service_keys() -> None:
    """Keys of bots, by which they get tokens for their sellers. NAME is the bot's, for the audit log and for sellers to see."""


@service_keys.command("create")
@click.argument("name")
def create_service_key(name: str) -> None:
    """Make a key and print it, this once."""
    from app.cli.service_keys import create

    create(name)


@service_keys.command("list")
@json_option
def list_service_keys(as_json: bool) -> None:
    """Which there are and were."""
    from app.cli.service_keys import list_keys

    list_keys(as_json=as_json)


@service_keys.command("revoke")
@click.argument("name")
def revoke_service_key(name: str) -> None:
    """End a key, with all login sessions that it opened, at once and for good."""
    from app.cli.service_keys import revoke

    revoke(name)


@service_keys.command("rotate")
@click.argument("name")
@click.option("--now", is_flag=True, help="End the former secret at once, and all login sessions that the key opened: it was stolen.")
def rotate_service_key(name: str, now: bool) -> None:
    """Print the key with a new secret, this once. The former one works for 24 h more."""
    from app.cli.service_keys import rotate

    rotate(name, now=now)


@main.command()
def doctor() -> None:
    """Check configuration, database, Redis, migrations, clock and keys, and say what to do about each fault."""
    from app.cli.doctor import examine

    sys.exit(examine())


if __name__ == "__main__":
    main()
