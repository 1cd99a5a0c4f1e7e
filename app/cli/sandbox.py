"""The sandbox marketplaces as a process."""

import click

from app.sandbox.main import run


def run_sandbox(host: str, port: int) -> None:
    """Answer as the marketplaces do, until a signal comes.

    Raises:
        StartRefused: the port is taken.
    """
    run(host, port, on_listening=lambda url: click.echo(f"The sandbox marketplaces are at {url}; nothing in them is real."))
