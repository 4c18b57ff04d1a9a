"""The data component `sklearn`, held against scikit-learn's own functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets

from annpipe import Field, OptionError
from annpipe_std.bundled import sklearn_fields
from annpipe_std.sklearn_data import sklearn_data

Cli = Callable[..., tuple[int, str, str]]


def rows_of(seed: int = 0, **options: Any) -> Any:
    """The dataset with a generator of its own."""
    return sklearn_data(**options, generator=torch.Generator().manual_seed(seed))


def matrix(columns: Any) -> np.ndarray[Any, Any]:
    """Columns side by side."""
    return torch.stack(list(columns.values()), dim=1).numpy()


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_a_bundled_set_is_the_one_of_scikit_learn(name: str) -> None:
    """The same numbers in the same order; whole targets are labels with their classes."""
    bunch = getattr(datasets, f"load_{name}")()
    rows = rows_of(load=name)
    np.testing.assert_array_equal(matrix(rows.inputs), bunch.data)
    np.testing.assert_array_equal(rows.targets["y"].numpy(), bunch.target)
    fields = sklearn_fields(load=name)
    assert list(fields.inputs) == list(rows.inputs)
    assert fields.rows == len(bunch.data)
    if name == "diabetes":
        assert rows.targets["y"].dtype == torch.float64
        assert fields.targets == {"y": Field()}
    else:
        assert rows.targets["y"].dtype == torch.int64
        assert fields.targets == {"y": Field(dtype="int", classes=len(bunch.target_names))}


def test_features_have_plain_names() -> None:
    """Letters, digits and underlines."""
    assert list(rows_of(load="iris").inputs)[:2] == ["sepal_length_cm", "sepal_width_cm"]
    assert "od280_od315_of_diluted_wines" in rows_of(load="wine").inputs
    assert list(rows_of(make="moons").inputs) == ["x0", "x1"]


def test_several_targets_are_several_columns() -> None:
    """Linnerud's by their own names, a generator's by numbers."""
    bunch = datasets.load_linnerud()
    rows = rows_of(load="linnerud")
    assert list(rows.targets) == ["Weight", "Waist", "Pulse"]
    np.testing.assert_array_equal(matrix(rows.targets), bunch.target)
    assert list(rows_of(make="regression", options={"n_targets": 2}).targets) == ["y0", "y1"]


def test_digits_can_be_images() -> None:
    """One input with one channel."""
    rows = rows_of(load="digits", images=True)
    assert rows.inputs["image"].shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(rows.inputs["image"][:, 0].numpy(), datasets.load_digits().images)
    assert sklearn_fields(load="digits", images=True).inputs == {"image": Field((1, 8, 8))}


def test_options_go_to_the_function_of_a_set() -> None:
    """Fewer digits, unscaled measurements."""
    fields = sklearn_fields(load="digits", options={"n_class": 3})
    assert fields.targets["y"].classes == 3
    raw = rows_of(load="diabetes", options={"scaled": False})
    np.testing.assert_array_equal(matrix(raw.inputs), datasets.load_diabetes(scaled=False).data)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("moons", {"n_samples": 50, "noise": 0.1}),
        ("moons", {"n_samples": [20, 30]}),
        ("circles", {"factor": 0.5}),
        ("blobs", {"centers": 4, "n_features": 3}),
        ("blobs", {"centers": [[0, 0], [5, 5]], "center_box": [-1, 1]}),
        ("friedman1", {"n_samples": 30, "noise": 1.0}),
        ("regression", {"n_features": 5}),
        ("classification", {"n_classes": 3, "n_informative": 4}),
        ("swiss_roll", {}),
        ("hastie_10_2", {"n_samples": 20}),
        ("multilabel_classification", {}),
    ],
)
def test_a_generator_is_that_of_scikit_learn_with_a_seed_of_the_run(name: str, options: dict[str, Any]) -> None:
    """The seed is drawn from `generator`; the shapes and classes that `fields` tells hold for every seed."""
    rows = rows_of(3, make=name, options=options)
    seed = int(torch.randint(2**32 - 1, (), generator=torch.Generator().manual_seed(3)))
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    x, y = getattr(datasets, f"make_{name}")(**given, random_state=seed)
    np.testing.assert_array_equal(matrix(rows.inputs), x)
    np.testing.assert_array_equal(matrix(rows.targets), y.reshape(len(y), -1))
    fields = sklearn_fields(make=name, options=options)
    assert fields.rows == rows.rows
    assert (list(fields.inputs), list(fields.targets)) == (list(rows.inputs), list(rows.targets))
    if not rows.targets[next(iter(rows.targets))].is_floating_point():
        assert fields.targets["y"].classes == int(rows.targets["y"].max()) + 1


def test_another_seed_gives_other_rows() -> None:
    """And the same seed the same."""
    first, again, other = (rows_of(seed, make="friedman1").inputs["x0"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


GENERATORS = sorted(name.removeprefix("make_") for name in dir(datasets) if name.startswith("make_"))
WITHOUT_TARGETS = {
    *("biclusters", "checkerboard", "low_rank_matrix", "sparse_coded_signal", "sparse_spd_matrix", "spd_matrix"),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_of_inputs_and_targets_can_be_made(name: str) -> None:
    """With its defaults; those of matrices alone are unknown."""
    if name in WITHOUT_TARGETS:
        with pytest.raises(OptionError, match=f"has no generator '{name}'"):
            rows_of(make=name)
    else:
        options = {"n_samples": 200} if name == "hastie_10_2" else {}
        assert rows_of(make=name, options=options).rows > 0


@pytest.mark.parametrize(
    ("options", "option", "message", "help_"),
    [
        ({"load": "digit"}, "load", "no bundled set 'digit'", "did you mean 'digits'?"),
        ({"load": "moons"}, "load", "no bundled set 'moons'", "write `make: moons`"),
        ({"make": "iris"}, "make", "no generator 'iris'", "write `load: iris`"),
        ({"load": "files"}, "load", "no bundled set 'files'", "there are breast_cancer"),
        ({"load": "svmlight_file"}, "load", "no bundled set", "there are breast_cancer"),
        ({}, "", "neither is given", "sklearn: {load: iris}"),
        ({"load": "iris", "make": "moons"}, "load", "both are given", "sklearn: {load: iris}"),
        ({"load": "iris", "images": True}, "images", "only the digits have images", "load: digits"),
        ({"make": "moons", "options": {"noize": 1}}, "options.noize", "no option 'noize'", "did you mean 'noise'?"),
        ({"make": "moons", "options": {"random_state": 1}}, "options.random_state", "no option", "n_samples, shuffle"),
        ({"load": "iris", "options": {"as_frame": True}}, "options.as_frame", "no option", "no options"),
        ({"make": "moons", "options": {"noise": -1.0}}, "options.noise", "must be a float", "make_moons.html"),
        ({"make": "classification", "options": {"n_classes": 9}}, "options", "n_classes", "make_classification.html"),
        ({"make": "friedman1", "options": {"n_samples": 0}}, "options.n_samples", "must be an int", "friedman1.html"),
    ],
)
def test_what_scikit_learn_does_not_have_is_refused_at_its_option(
    options: dict[str, Any], option: str, message: str, help_: str
) -> None:
    """With the nearest name, or what there is; no file of the user's can be reached through a loader."""
    for ask in (rows_of, sklearn_fields):
        with pytest.raises(OptionError, match=message) as caught:
            ask(**options)
        assert caught.value.option == option
        assert help_ in str(caught.value.help)


def test_without_scikit_learn_the_remedy_is_told(
    annpipe_here: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spec is refused at its data component; the component is still listed."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    spec = tmp_path / "moons.yaml"
    spec.write_text(
        "version: 1\nname: moons\ndata: {sklearn: {make: moons}}\nmodel: [Linear: 2]\nloss: CrossEntropyLoss\n"
        "optimizer: SGD\ntrain: {epochs: 1}\n"
    )
    code, _, err = annpipe_here("validate", spec)
    assert code == 3
    assert "scikit-learn is not installed" in err
    assert 'pip install "annpipe[sklearn]"' in err
    assert "moons.yaml:3:8" in err
    code, out, _ = annpipe_here("show", "data", "sklearn")
    assert code == 0
    assert "moons" in out
