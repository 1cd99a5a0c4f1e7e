"""What may be queued about credentials."""

from typing import ClassVar

from app.jobs import Job


class CheckKeys(Job, frozen=True):
    """There are keys whose daily check is due. Which ones, the worker asks the database; losing this message loses only time."""

    name: ClassVar[str] = "credentials.check"
