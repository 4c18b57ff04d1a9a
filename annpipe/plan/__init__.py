"""Spec + Registry → Plan: names resolved, options checked, shapes run; still only data."""

from annpipe.plan.component import Component
from annpipe.plan.draft import Draft, draft
from annpipe.plan.resolve import resolve

__all__ = ["Component", "Draft", "draft", "resolve"]
