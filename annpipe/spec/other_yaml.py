"""Why is this word no number and no truth value? A plain word that YAML 1.1 reads as something else, explained."""

from __future__ import annotations

import re

from annpipe.spec.nodes import Node, ScalarNode

_TRUE = frozenset({"yes", "Yes", "YES", "on", "On", "ON", "y", "Y"})
_FALSE = frozenset({"no", "No", "NO", "off", "Off", "OFF", "n", "N"})
_BASE_60 = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+\Z")
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?\Z")
_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+\Z")
_PERCENT = re.compile(r"[-+]?[0-9.]+ ?%\Z")
_POWER = re.compile(r"[-+]?[0-9.]+ ?(\*\*|\^) ?[-+]?[0-9.]+\Z")


def yaml_hint(node: Node) -> str | None:
    """The remedy for a value that looks like another type; None for any other value."""
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return None
    text = node.text
    if not node.plain:
        return "text in quotes is never a number: leave the quotes out" if _is_value(text) else None
    if text in _TRUE | _FALSE:
        return f"'{text}' is a word in YAML 1.2: write {'true' if text in _TRUE else 'false'}"
    if text in ("None", "none", "nil"):
        return "write null for no value"
    if _BASE_60.match(text):
        return f"'{text}' is a word in YAML 1.2, not a number in base 60: write the number"
    if _LEADING_ZERO.match(text):
        return f"'{text}' is a word: a number has no leading zero (write 0o17 for an octal one)"
    if _DATE.match(text):
        return f"'{text}' is a word in YAML 1.2, not a date"
    if _UNDERSCORES.match(text):
        return f"write {text.replace('_', '')}: numbers have no underscores in YAML 1.2"
    if _COMMA.match(text):
        return f"write {text.replace(',', '.')}: the decimal sign is a dot, and thousands have none"
    if _PERCENT.match(text):
        return "write a fraction, as in 0.2 for 20 %"
    if _POWER.match(text):
        return "a value is no formula: write the number, as in 1e-3"
    return None


def _is_value(text: str) -> bool:
    from annpipe.spec.reader import core_value

    try:
        return not isinstance(core_value(text), str)
    except ValueError:
        return True
