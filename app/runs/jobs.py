"""What may be queued about runs."""

from typing import ClassVar

from app.jobs import Job


class WakeWorker(Job, frozen=True):
    """There is a run to carry out. Which one, the worker asks the database; losing this message loses only time."""

    name: ClassVar[str] = "runs.wake"
