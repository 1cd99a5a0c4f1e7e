"""Migrations as commands."""

import asyncio
import sys

import click

from app.database import database
from app.migrations import differences, migrate
from app.settings import get_settings


def run_migrations() -> None:
    """Carry out what is missing.

    Raises:
        StartRefused: no connection, or a migration failed.
    """
    database.configure(get_settings().database_url)
    done = asyncio.run(migrate())
    for migration in done:
        click.echo(f"carried out {migration}")
    click.echo("The database is up to date.")


def check_migrations() -> None:
    """Exit with 1 and a list where the tables in the code and the migrations differ."""
    found = asyncio.run(differences())
    if found:
        click.echo("The tables and the migrations differ; make a migration with `make migration NAME=…`:", err=True)
        for line in found:
            click.echo(f"  {line}", err=True)
        sys.exit(1)
    click.echo("The tables and the migrations agree.")
