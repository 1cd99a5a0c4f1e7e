"""What may be queued about events."""

from typing import ClassVar

from app.jobs import Job


class DeliverEvents(Job, frozen=True):
    """There are events to dispatch or deliveries to make. Which ones, the worker asks the database; losing this message loses only time."""

    name: ClassVar[str] = "webhooks.deliver"
