"""Python imports this at its start where the folder stands on PYTHONPATH: it lays the faults of the environment."""

from tests.faults.injector import strike

strike()
