"""Keys and paths as MLflow takes them, held against MLflow's own rules."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.store.artifact.artifact_repo import verify_artifact_path
from mlflow.utils import validation

from annpipe.record.store.keys import (
    MAX_FILE_NAME,
    MAX_PARAM_VALUE,
    MAX_TAG_VALUE,
    Names,
    artifact_path,
    cut_name,
    file_name,
    is_single_value,
    mlflow_key,
    model_name,
    store_name,
)

SIGNS = "ab1_-. :/$()@%#?&\\\"'€Å日\u0303\n\t\0\ud800~"
NAMES = st.text() | st.text(alphabet=SIGNS) | st.text(alphabet=SIGNS, min_size=240, max_size=300)
# Names that are not made up by machines: they stay as they are.
PLAIN = re.compile(r"[\w:-]([\w. :-]*[\w.:-])?(/[\w:-]([\w. :-]*[\w.:-])?)*")
EXAMPLES = ["", ".", "..", "...", "..a", "a/..", "a//b", "/root", "a/", " a", "a ", "a\n", "k" * 251, "a/" * 130 + "a"]


@given(NAMES)
@settings(max_examples=400, derandomize=True, deadline=None)
def test_mlflow_takes_every_key_and_plain_ones_stay(name: str) -> None:
    """By its own functions; a key that is made is one that stays."""
    key = mlflow_key(name)
    validation._validate_metric(key, 1.0, 0, 0)
    validation._validate_param(key, "")
    validation._validate_tag(key, "")
    path = artifact_path(name)
    verify_artifact_path(path)
    assert re.fullmatch(r"[\w. /-]+", path)
    assert all(0 < len(part.encode()) <= MAX_FILE_NAME + len(".12345678") for part in path.split("/"))
    assert PurePosixPath(path).parts == tuple(path.split("/"))
    if len(name) <= 200 and PLAIN.fullmatch(name) and "-x" not in name:
        assert key == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_leads_elsewhere_is_changed(name: str) -> None:
    assert mlflow_key(name) != name
    validation._validate_metric_name(mlflow_key(name))
    assert len(mlflow_key(name)) <= 250


@pytest.mark.slow
@given(st.sets(NAMES, min_size=2, max_size=40))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_never_one_key_for_two_names(names: set[str]) -> None:
    """Also where names look like keys that were made of others."""
    several = names | {mlflow_key(name) for name in names} | {re.sub(r"[^\w/. :-]", "_", name) for name in names}
    assert len({mlflow_key(name) for name in several}) == len(several)
    paths = several | {artifact_path(name) for name in several}
    assert len({artifact_path(name) for name in paths}) == len(paths)
    assert len({file_name(name) for name in several}) == len({name.replace("/", "_") for name in several})


def test_keys_are_readable_and_grouped_by_their_parts() -> None:
    """MLflow's UI groups by what stands before a slash: the mark stands in the part that it is of."""
    assert re.fullmatch(r"val/price ___-x\w{8}/rmse", mlflow_key("val/price ($)/rmse"))
    assert mlflow_key("final/price ($)/rmse").split("/")[1] == mlflow_key("val/price ($)/loss").split("/")[1]
    assert artifact_path("plots/a b.svg") == "plots/a b.svg"
    assert re.fullmatch(r"plots/50 _-x\w{8}\.svg", artifact_path("plots/50 %.svg"))


def test_values_are_cut_as_mlflow_can_hold_them_and_kept_whole_beside() -> None:
    """No half surrogate and no zero, which databases refuse."""
    names = Names()
    assert not names
    assert names.value("a", "x" * MAX_PARAM_VALUE, MAX_PARAM_VALUE) == "x" * MAX_PARAM_VALUE
    assert not names
    cut = names.value("b", "x" * (MAX_TAG_VALUE + 1), MAX_TAG_VALUE)
    assert len(cut) == MAX_TAG_VALUE
    assert names.value("c", "a\0\ud800b", MAX_PARAM_VALUE) == "a\\0\\ud800b"
    assert names.values == {"b": "x" * (MAX_TAG_VALUE + 1), "c": "a\0\ud800b"}
    assert names.key("price ($)") == mlflow_key("price ($)")
    assert names.keys == {mlflow_key("price ($)"): "price ($)"}
    assert len(cut_name("n" * 600, 500)) == 500
    assert cut_name("n" * 600, 500) != cut_name("n" * 601, 500)


def test_single_values_of_a_run_have_no_slash_and_stay_apart() -> None:
    """So that MLflow shows them behind the curves; whatever metrics are called, no two names are one key."""
    assert store_name("val/loss") == "val/loss"
    assert store_name("best/val/loss") == "best.val.loss"
    names = ["final/val/a.b", "final/val/a/b", "final/val.a/b", "best/val/a.b", "final/val/a b"]
    keys = [store_name(name) for name in names]
    assert len(set(keys)) == len(keys)
    assert all("/" not in key and is_single_value(key) for key in keys)
    assert not is_single_value("val/loss")


@pytest.mark.parametrize("name", ["lr=0.01: a/b", "50 %", "a'b\"c", "....", "x" * 600, "지역"])
def test_a_model_is_called_what_mlflow_takes(name: str) -> None:
    """The name of its run without the signs that MLflow refuses."""
    validation._validate_logged_model_name(model_name(name))
    assert len(model_name(name)) <= 250


@pytest.mark.parametrize("name", ["aux", "NUL", "com1", "con.txt", "value."])
def test_no_file_has_a_name_that_windows_takes_for_a_device(name: str) -> None:
    """In any folder and with any ending; nor one whose last dot it leaves out. Keys of metrics are not files."""
    for path in (artifact_path(f"plots/{name}/a.svg"), f"plots/{file_name(name)}/a.svg"):
        part = path.split("/")[1]
        assert part.startswith(f"_{name.rstrip('.')}-x")
        assert not re.fullmatch(r"(con|aux|nul|com1)(\..*)?", part, re.IGNORECASE)
    assert mlflow_key(f"val/{name}") == f"val/{name}"
    assert artifact_path("plots/console.svg") == "plots/console.svg"
