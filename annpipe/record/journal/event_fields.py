"""What the fields of events hold: a check for each type, as the metadata of a dataclass's field."""

from __future__ import annotations

from typing import Literal, get_args

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
LATEST_MS = 253_402_300_799_000  # the end of the year 9999
NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no numbers for them
CHECK, OMITTED = "check", "omitted"  # metadata of a field: what its value must be, and whether None is left out


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_time(value: object) -> bool:
    return isinstance(value, int) and _is_whole(value) and 0 <= value <= LATEST_MS


def _is_number(value: object) -> bool:
    return value in NOT_FINITE if isinstance(value, str) else isinstance(value, float) or _is_whole(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_tags(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_list_of_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is float or _is_number(item) for item in value)


def _is_numbers_by_key(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_status(value: object) -> bool:
    return value in get_args(Status)


TEXT, WHOLE, TIME, MAPPING, TAGS, STATUS = (
    {CHECK: check} for check in (_is_text, _is_whole, _is_time, _is_mapping, _is_tags, _is_status)
)
NUMBERS, NUMBERS_BY_KEY = {CHECK: _is_list_of_numbers}, {CHECK: _is_numbers_by_key}
NEW_MAPPING = MAPPING | {OMITTED: True}
