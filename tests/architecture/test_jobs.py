"""Each message that may be queued has somebody who carries it out."""

import importlib
import inspect
import pkgutil

import app
import workers
from app.jobs import Job, broker


def modules(package):
    return [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


def test_each_job_has_a_task_of_its_name():
    for name in [name for name in modules(app) if name.endswith(".jobs")] + modules(workers):
        importlib.import_module(name)

    jobs = {job.name for job in Job.__subclasses__() if job.__module__.startswith("app.")}

    assert "runs.wake" in jobs
    assert jobs <= set(broker.local_task_registry)


def test_each_job_takes_what_its_task_is_given():
    for name in modules(workers):
        importlib.import_module(name)

    for job in Job.__subclasses__():
        if job.__module__.startswith("app."):
            parameters = inspect.signature(broker.local_task_registry[job.name].original_func).parameters
            assert tuple(parameters) == job.__struct_fields__
