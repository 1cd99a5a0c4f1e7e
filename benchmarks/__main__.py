"""`python -m benchmarks`: measure, show a table, keep the figures."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks import admission, fairness, fleet, growth, listing, memory, syncs, webhooks, workers
from benchmarks.figures import Figure, markdown, table
from benchmarks.machine import describe
from benchmarks.plan import Plan
from benchmarks.site import ROOT, Site

RESULTS = ROOT / "benchmarks/results"
DOCUMENT = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- figures: python -m benchmarks --write-docs -->", "<!-- end of figures -->"

# Which figures each measurement gives; it runs where one of them is asked for.
MEASUREMENTS = {
    ("first-sync", "second-sync"): syncs.measure,
    ("products", "products-cached"): listing.measure,
    ("admission",): admission.measure,
    ("memory",): memory.measure,
    ("webhooks",): webhooks.measure,
    ("fleet",): fleet.measure,
    ("larger-shops",): workers.measure_larger_shops,
    ("fairness",): fairness.measure,
    ("growth",): growth.measure,
    ("workers",): workers.measure,
}
NAMES = [name for names in MEASUREMENTS for name in names]

console = Console(highlight=False)


class Results(msgspec.Struct):
    """What is kept of a run."""

    measured_at: datetime
    took_s: float
    machine: dict[str, str]
    figures: dict[str, list[Figure]]


@click.command()
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="May be given several times; left out, everything is measured.")
@click.option(
    "--rounds", default=3, show_default=True, help="Ours and the floor take turns so many times; a third as often where a round is long."
)
@click.option("--tenants", default=2_000, show_default=True, help="The largest fleet.")
@click.option("--profile", is_flag=True, help="Show which functions of the fleet's worker take most CPU.")
@click.option("--write-docs", is_flag=True, help="Put the table into docs/benchmarks.md.")
def main(only: tuple[str, ...], rounds: int, tenants: int, *, profile: bool, write_docs: bool) -> None:
    """Measure our code beside the floor, on this machine."""
    # As Ctrl-C does: an exception, so that everything is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = only or tuple(NAMES)
    began, figures = time.monotonic(), dict[str, list[Figure]]()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {line}")

    tell("starting PostgreSQL, Redis and the sandbox marketplace")
    with Site() as site:
        for names, measure in MEASUREMENTS.items():
            if set(names) & set(wanted):
                measured = measure(site, Plan(rounds, tenants, profile), tell)
                figures |= {name: rows for name, rows in measured.items() if name in wanted}
    results = Results(datetime.now(UTC), round(time.monotonic() - began, 1), describe(), figures)
    rows = [row for of_one in figures.values() for row in of_one]
    console.print()
    console.print(table(rows))
    console.print(", ".join(f"{name}: {value}" for name, value in results.machine.items()))
    console.print(f"Kept in {keep(results).relative_to(ROOT)}.")
    if write_docs:
        write(results, rows)


def keep(results: Results) -> Path:
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{results.measured_at:%Y-%m-%dT%H-%M-%SZ}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    return file


def write(results: Results, rows: list[Figure]) -> None:
    """Replace the table in the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    measured = f"Measured on {results.measured_at:%Y-%m-%d} in {results.took_s:.0f} s.\n\n{markdown(rows)}\n\n{machine}"
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}")
    console.print(f"Written to {DOCUMENT.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
