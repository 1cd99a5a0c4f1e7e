"""The sandbox marketplaces as a process."""

import click

from app.sandbox.main import run


def run_sandbox(host: str, port: int) -> None:
    """Answer as the marketplaces do, until a signal comes."""
    click.echo(f"The sandbox marketplaces are at http://{host}:{port}; nothing in them is real.")
    run(host, port)
