"""Transforms held against scikit-learn's, over random frames with missing values and categories not seen before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, QuantileTransformer, RobustScaler, StandardScaler

from annpipe import OptionError
from annpipe_std.transforms.categories import Embedding, OneHot
from annpipe_std.transforms.images import Normalize, RandomCrop, RandomFlip, RandomShift
from annpipe_std.transforms.missing import Impute
from annpipe_std.transforms.numbers import Clip, Log, MinMax, Quantile, Robust, Standardize

SETTINGS = settings(max_examples=60, derandomize=True, deadline=None)
# numbers a table may hold: many equal ones, and no differences that rounding decides
CELLS = st.sampled_from([np.nan, 0.0, 1.0, 1.0, -3.5, 2.25, 1e3, -7e-3, 12.0])


@st.composite
def frames(draw: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows to fit on and rows to transform; each column of the first has a value."""
    columns = draw(st.integers(1, 4))
    fitted = draw(hnp.arrays(np.float64, (draw(st.integers(1, 12)), columns), elements=CELLS))
    fitted[0] = np.where(np.isnan(fitted[0]), 4.0, fitted[0])
    return fitted, draw(hnp.arrays(np.float64, (draw(st.integers(1, 6)), columns), elements=CELLS))


def transformed(module: Any, fitted: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    module.fit(torch.from_numpy(fitted))
    result: np.ndarray[Any, Any] = module(torch.from_numpy(rows)).numpy()
    return result


PAIRS = {
    "standardize": (Standardize, StandardScaler),
    "min_max": (lambda: MinMax(-1.0, 2.0), lambda: MinMaxScaler((-1, 2))),
    "robust": (Robust, RobustScaler),
    "robust-wide": (lambda: Robust(10.0, 80.0), lambda: RobustScaler(quantile_range=(10, 80))),
    "one_hot": (OneHot, lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    "impute-mean": (lambda: Impute("mean", categories=[]), lambda: SimpleImputer(strategy="mean")),
    "impute-median": (lambda: Impute("median", categories=[]), lambda: SimpleImputer(strategy="median")),
    "impute-most": (lambda: Impute("most_frequent", categories=[]), lambda: SimpleImputer(strategy="most_frequent")),
    "impute-7": (
        lambda: Impute("constant", 7.0, categories=[]),
        lambda: SimpleImputer(strategy="constant", fill_value=7.0),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_transform_equals_that_of_scikit_learn(name: str) -> None:
    ours, theirs = PAIRS[name]

    @SETTINGS
    @given(frames())
    def holds(both: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]) -> None:
        fitted, rows = both
        expected = theirs().fit(fitted).transform(rows)
        np.testing.assert_allclose(transformed(ours(), fitted, rows), expected, rtol=1e-9, atol=1e-9)

    holds()


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_quantiles_equal_those_of_scikit_learn(distribution: Any) -> None:
    """Values that were drawn, ties among them, values beyond the ends and missing ones."""
    random = np.random.default_rng(3)
    fitted = np.stack([random.normal(size=300), random.integers(0, 6, 300).astype(float)], 1)
    fitted[random.random(fitted.shape) < 0.1] = np.nan
    rows = np.concatenate([fitted[:40], [[-9.0, 9.0], [9.0, -9.0], [0.123, 2.5], [np.nan, 3.0]]])
    for n_quantiles in (1000, 300, 17):
        theirs = QuantileTransformer(
            n_quantiles=min(n_quantiles, 300), output_distribution=distribution, subsample=None
        )
        expected = theirs.fit(fitted).transform(rows)
        np.testing.assert_allclose(transformed(Quantile(distribution, n_quantiles), fitted, rows), expected, atol=1e-6)


@SETTINGS
@given(frames())
def test_the_indicator_tells_where_values_were_missing(both: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]) -> None:
    fitted, rows = both
    given_ = transformed(Impute("mean", None, True, categories=[]), fitted, rows)
    np.testing.assert_array_equal(given_[:, rows.shape[1] :], np.isnan(rows))


@pytest.mark.parametrize("module", [Standardize(), MinMax(), MinMax(-2.0, 5.0), Robust(), Log(3.0)])
def test_the_way_back_leads_back(module: Any) -> None:
    y = torch.tensor([[1.0], [4.0], [-2.0], [7.5]], dtype=torch.float64)
    module.fit(y)
    torch.testing.assert_close(module.inverse(module(y)), y, rtol=1e-12, atol=1e-12)
    assert not torch.equal(module(y), y)


def test_log_and_clip_and_what_they_refuse() -> None:
    x = torch.tensor([[0.0, 1.0], [float("nan"), 9.0]], dtype=torch.float64)
    np.testing.assert_allclose(transformed(Log(), x.numpy(), x.numpy()), np.log1p(x.numpy()))
    np.testing.assert_array_equal(transformed(Clip(0.5, 3.0), x.numpy(), x.numpy()), np.clip(x.numpy(), 0.5, 3))
    with pytest.raises(ValueError, match=r"0 \+ 0 has no logarithm"):
        Log(0.0).fit(x)
    for made in (lambda: Clip(), lambda: Clip(2.0, 1.0), lambda: MinMax(1.0, 1.0), lambda: Robust(50.0, 20.0)):
        with pytest.raises(OptionError):
            made()
    with pytest.raises(ValueError, match="no value in the train split"):
        Impute(categories=[]).fit(torch.full((3, 1), torch.nan, dtype=torch.float64))


def test_embedding_has_a_vector_a_category_and_one_for_the_unknown() -> None:
    module = Embedding(categories=[3, 50])
    assert [tuple(table.weight.shape) for table in module.tables] == [(4, round(1.6 * 3**0.56)), (51, 14)]  # type: ignore[union-attr]
    small = Embedding(2, categories=[3])
    table: Any = small.tables[0]
    given_ = small(torch.tensor([[0.0], [2.0], [-1.0], [float("nan")]]))
    torch.testing.assert_close(given_, table.weight[[1, 3, 0, 0]])


def images() -> torch.Tensor:
    return torch.arange(6 * 2 * 5 * 4, dtype=torch.float64).reshape(6, 2, 5, 4)


def test_normalize_scales_each_channel() -> None:
    x = images()
    module = Normalize()
    module.fit(x)
    expected = StandardScaler().fit_transform(x.permute(0, 2, 3, 1).reshape(-1, 2).numpy())
    np.testing.assert_allclose(module(x).permute(0, 2, 3, 1).reshape(-1, 2).numpy(), expected)


def test_random_changes_act_while_training_alone_and_on_each_image() -> None:
    """Every image is one of those that the change allows, and over many draws each of these comes."""
    x = images()
    torch.manual_seed(0)
    assert torch.equal(RandomFlip().eval()(x), x)
    flipped = torch.stack([RandomFlip(True, True)(x) for _ in range(40)])
    for row in range(len(x)):
        allowed = [x[row], x[row].flip(-1), x[row].flip(-2), x[row].flip(-1, -2)]
        seen = {next(n for n, image in enumerate(allowed) if torch.equal(image, got)) for got in flipped[:, row]}
        assert seen == {0, 1, 2, 3}
    assert torch.equal(RandomFlip(True, False, 1.0)(x), x.flip(-1))


def test_shifts_and_crops_are_windows_of_the_image() -> None:
    x = images() + 1
    torch.manual_seed(0)
    padded = torch.nn.functional.pad(x, [1, 1, 1, 1])
    windows = [padded[..., i : i + 5, j : j + 4] for i in range(3) for j in range(3)]
    seen = set()
    for _ in range(60):
        moved = RandomShift(1)(x)
        seen |= {next(n for n, w in enumerate(windows) if torch.equal(w[row], moved[row])) for row in range(len(x))}
    assert seen == set(range(9))
    assert torch.equal(RandomShift(1).eval()(x), x)
    crop = RandomCrop(3)
    assert torch.equal(crop.eval()(x), x[..., 1:4, 0:3])
    cropped = crop.train()(x)
    assert cropped.shape == (6, 2, 3, 3)
    with pytest.raises(ValueError, match="smaller than a square of 6"):
        RandomCrop(6).fit(x)
