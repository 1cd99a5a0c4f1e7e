"""The `stock-tracker` command. A command imports what it needs when it is called, so that each starts at once."""

import sys

import click

from app.errors import StartRefused


class OneLineErrors(click.Group):
    """What stops a start is one clear line and exit code 2, never a trace."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StartRefused as error:
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

    run_processes("workers.main", processes, [str(concurrency)])


@main.command()
def scheduler() -> None:
    """Puts due work on the queue and finds what was lost. Any number may run; each piece of work is taken by one."""
    from app.cli.processes import run_processes

    run_processes("workers.scheduler", 1, [])


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
    from app.settings import new_master_key

    click.echo(new_master_key())


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8100, show_default=True)
def sandbox(host: str, port: int) -> None:
    """The sandbox marketplaces alone."""
    from app.cli.sandbox import run_sandbox

    run_sandbox(host, port)


@main.command()
def doctor() -> None:
    """Check configuration, database, Redis, migrations, clock and keys, and say what to do about each fault."""
    from app.cli.doctor import examine

    sys.exit(examine())


if __name__ == "__main__":
    main()
