"""Spec + Registry → Plan: names resolved, options checked, shapes run; still only data."""

from annpipe.plan.component import Component
from annpipe.plan.resolve import Draft, draft, resolve

__all__ = ["Component", "Draft", "draft", "resolve"]
