"""Marks, option models, the index and discovery: from a name in a spec to a component."""

from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.kinds import KINDS, Kind
from annpipe.registry.registry import Registry

__all__ = ["KINDS", "Entry", "Kind", "Origin", "Parameter", "Registry"]
