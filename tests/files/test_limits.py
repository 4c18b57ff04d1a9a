"""The work for a stranger's spec is bounded: each bound of the table is passed by a spec here, and has its problem."""

from __future__ import annotations

import gzip
import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from annpipe.errors import OptionError, SpecError
from annpipe.files import guard, limits
from annpipe.files.limits import BOUNDS, Stance, check_bound, held_to
from tests.conftest import CliHere

SPEC = """version: 1
name: strange
data: DATA
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""
TABLE = "{table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}"


def bomb_csv(folder: Path) -> str:
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=9) as file:
        file.write(b"x,y\n")
        for _ in range(10):
            file.write(b"0,0\n" * 2**18)
    return "{csv: {files: bomb.csv.gz, target: y}}"


def bomb_npz(folder: Path) -> str:
    with (
        zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (2**20,)})
        for _ in range(8):
            member.write(bytes(2**20))
    return "{npz: {file: bomb.npz, inputs: [x], targets: {y: x}}}"


def bomb_parquet(folder: Path) -> str:
    import pyarrow as pa
    from pyarrow import parquet

    part = pa.table({"x": np.zeros(2**19), "y": np.zeros(2**19)})
    with parquet.ParquetWriter(folder / "bomb.parquet", part.schema, compression="zstd") as writer:
        for _ in range(3):
            writer.write_table(part)
    assert (folder / "bomb.parquet").stat().st_size < 2**20
    return "{parquet: {files: bomb.parquet, target: y}}"


def long_text(folder: Path) -> str:
    (folder / "long.csv").write_text("x,y\n" + "0,0\n" * 2**18)
    return "{csv: {files: long.csv, target: y}}"


def many_files(folder: Path) -> str:
    for number in range(BOUNDS["files"].most + 1):
        (folder / f"{number}.csv").write_text("x,y\n0,1\n")
    return "{csv: {files: '*.csv', target: y}}"


def many_entries(folder: Path) -> str:
    (folder / "deep").mkdir()
    for number in range(BOUNDS["entries"].most + 1):
        (folder / "deep" / str(number)).touch()
    return "{csv: {files: '**/*.csv', target: y}}"


def long_list_of_rows(folder: Path) -> str:
    (folder / "rows.txt").write_text("0\n" * (BOUNDS["split file"].most // 2 + 1))
    return TABLE[:-1] + ", split: {val_rows: rows.txt}}"


COSTLY: dict[str, Callable[[Path], str]] = {
    "a file": long_text,
    "an unpacked text": bomb_csv,
    "an unpacked archive": bomb_npz,
    "rows that are packed to little": bomb_parquet,
    "files": many_files,
    "entries": many_entries,
    "a file of rows": long_list_of_rows,
    "rows of formulas": lambda _: "{formula: {rows: 10000000, inputs: {x: {Normal: [0, 1]}}, targets: {y: x}}}",
    "rows of a table": lambda _: TABLE[:-2] + ", repeat: 10000000}}",
    "rows of a generator": lambda _: "{sklearn: {make: moons, options: {n_samples: 100000000}}}",
    "rows of a generator by class": lambda _: "{sklearn: {make: blobs, options: {n_samples: [99999999, 99999999]}}}",
    "columns of a generator": lambda _: "{sklearn: {make: regression, options: {n_features: 1000000}}}",
    "classes of a generator": lambda _: "{sklearn: {make: multilabel_classification, options: {n_classes: 9999999}}}",
    "a sweep": lambda _: f"{TABLE}\nsweep: {{over: {{seed: 51}}}}",
    "a long range": lambda _: f"{TABLE}\nsweep: {{over: {{train.epochs: {{range: [1, 9000]}}}}}}",
}

PASSED = {
    "file": ("a file",),
    "unpacked": ("an unpacked text", "an unpacked archive"),
    "files": ("files",),
    "entries": ("entries",),
    "split file": ("a file of rows",),
    "corners": ("a sweep", "a long range"),
}


@pytest.fixture
def _low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are passed by less than the true ones."""
    low = {"file": 2**19, "unpacked": 2**22, "split file": 2**16, "entries": 200, "files": 20, "values": 10**6}
    for name, most in low.items():
        monkeypatch.setitem(BOUNDS, name, limits.Bound(most, BOUNDS[name].unit))


@pytest.mark.parametrize("what", COSTLY)
@pytest.mark.usefixtures("_low")
def test_what_costs_too_much_is_refused_before_it_is_done(what: str, tmp_path: Path, annpipe_here: CliHere) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("DATA", COSTLY[what](tmp_path)))
    code, out, _ = annpipe_here("validate", "--untrusted", "--format", "json", "spec.yaml")
    (problem,) = json.loads(out)[0]["problems"]
    assert (code, problem["code"]) == (3, "untrusted-limit")
    bound = next((bound for bound, cases in PASSED.items() if what in cases), "values")
    assert f"too many {BOUNDS[bound].unit}: " in problem["message"]
    assert f", where an untrusted spec may have {BOUNDS[bound].most:,}" in problem["message"]
    assert problem["place"]["line"] in (3, 4)
    assert problem["help"] == "read the spec, then go on without --untrusted"


@pytest.mark.parametrize("what", ["rows of formulas", "rows of a table"])
def test_a_trusted_spec_has_no_such_bound(what: str, tmp_path: Path, annpipe_here: CliHere) -> None:
    """Nothing of these is made to be checked."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("DATA", COSTLY[what](tmp_path)))
    assert annpipe_here("validate", "spec.yaml")[0] == 0


def test_each_bound_is_passed_above_or_in_a_test_of_its_own() -> None:
    """`bases` is passed in tests/cli/test_odd_input.py."""
    assert set(BOUNDS) == {"file", "unpacked", "files", "entries", "split file", "bases", "values", "corners"}


def test_the_bounds_are_those_of_the_page() -> None:
    """SECURITY.md has a row for each, with its number."""
    page = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([\d,]+) \|$", page, re.M))
    told = {bound.unit: f"{bound.most:,}" for bound in BOUNDS.values()}
    told["seconds"] = f"{limits.SECONDS:,}"
    told["bytes of memory beside what the program had"] = f"{limits.MEMORY:,}"
    assert rows == told


def test_a_stack_of_a_billion_recurrent_layers_is_refused(tmp_path: Path, annpipe_here: CliHere) -> None:
    """For everybody: torch would build one after the other."""
    spec = SPEC.replace("DATA", TABLE).replace(
        "[Linear: 1]", "[Unflatten: [1, [1, 1]], LSTM: {hidden_size: 4, num_layers: 1000000000}]"
    )
    (tmp_path / "spec.yaml").write_text(spec)
    code, _, err = annpipe_here("validate", "spec.yaml")
    assert code == 3
    assert "stands for 1,000,000,000 layers" in err


@pytest.mark.usefixtures("_low")
def test_data_of_a_stranger_are_shown_within_the_same_bounds(tmp_path: Path, annpipe_here: CliHere) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("DATA", TABLE) + "plugins: [./marker.py]\n")
    (tmp_path / "marker.py").write_text("open('imported', 'w')\n")
    code, out, err = annpipe_here("data", "--untrusted", "spec.yaml")
    assert code == 0, err
    assert "rows     2" in out
    assert not (tmp_path / "imported").exists()
    for what in ("rows of a table", "a file of rows"):
        (tmp_path / "spec.yaml").write_text(SPEC.replace("DATA", COSTLY[what](tmp_path)))
        code, _, err = annpipe_here("data", "--untrusted", "spec.yaml")
        assert code == 3
        assert "untrusted-limit" in err


# --- the bound on a whole command


@pytest.fixture
def slow_data(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Makes telling the fields of a table do something more."""
    import annpipe_std.columns as columns

    true = columns.table_fields

    def slow(work: Callable[[], object]) -> None:
        def fields(**options: object) -> object:
            work()
            return true(**options)  # type: ignore[arg-type]

        monkeypatch.setattr(columns, "table_fields", fields)

    return slow


def test_a_command_ends_when_its_time_is_over(
    slow_data: Callable[[Callable[[], object]], None],
    tmp_path: Path,
    annpipe_here: CliHere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forever() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                time.sleep(0.01)
            except Exception:  # as a component may swallow everything
                time.sleep(0.01)

    slow_data(forever)
    monkeypatch.setattr(limits, "SECONDS", 0.5)
    (tmp_path / "spec.yaml").write_text(SPEC.replace("DATA", TABLE))
    code, _, err = annpipe_here("validate", "--untrusted", "spec.yaml")
    assert code == 3
    assert "checking takes more than 0.5 seconds" in err


def test_a_command_ends_when_it_takes_too_much_memory(
    slow_data: Callable[[Callable[[], object]], None],
    tmp_path: Path,
    annpipe_here: CliHere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    slow_data(lambda: np.ones(2**28))
    monkeypatch.setattr(limits, "MEMORY", 2**30)
    (tmp_path / "spec.yaml").write_text(SPEC.replace("DATA", TABLE))
    code, _, err = annpipe_here("validate", "--untrusted", "spec.yaml")
    assert code == 3, err
    assert "memory" in err
    assert "Traceback" not in err
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_guard_leaves_everything_as_it_was() -> None:
    import signal

    before = signal.getsignal(signal.SIGALRM)
    with guard.guarded(True):
        assert signal.getsignal(signal.SIGALRM) != before
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with pytest.raises(SpecError, match="4 GiB of memory"), guard.guarded(True):
        raise MemoryError


def test_a_bound_holds_inside_alone(tmp_path: Path) -> None:
    check_bound("values", 10**12, option="rows")
    with held_to(Stance.below(tmp_path)):
        check_bound("values", BOUNDS["values"].most, option="rows")
        with pytest.raises(OptionError, match="too many values"):
            check_bound("values", BOUNDS["values"].most + 1, option="rows")
    check_bound("values", 10**12, option="rows")
