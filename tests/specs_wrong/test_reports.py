"""The exact text of errors: every wrong spec of `specs_wrong/` against the report beside it.

A spec may ask for options of the command in its first line: `# validate: --set model.0=Tanh`. What no spec can show
(a file that is absent, a warning, a device) has its command below and its report in `specs_wrong/other/`.

After a deliberate change: `ANNPIPE_WRITE_GOLDEN=1 python -m pytest tests/specs_wrong`, then read the diff.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.cli import outcome
from annpipe.cli.commands import explain
from annpipe.registry.registry import Registry

FOLDER = Path(__file__).parent
SPECS = sorted(path for path in FOLDER.rglob("*.yaml") if "bases" not in path.parts)  # bases are extended by specs
OTHER = FOLDER / "other"
JARGON = ("Traceback", "Input should be", "NoneType", "<class", "pydantic", "unhashable")
WITHOUT_PLACE = ("file-not-found", "file-not-readable", "spec-too-large")  # faults of a whole file

Said = tuple[int, str, str]
Validate = Callable[..., Said]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the corpus in a folder that belongs to no project."""
    copy = tmp_path_factory.mktemp("corpus") / "specs_wrong"
    return shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__", "test_*.py"))


@pytest.fixture
def call(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], registry_entries: Registry
) -> Validate:
    """Runs `annpipe …` in the corpus: exit code, stdout and stderr, paths as everybody has them.

    The index of the installed components is read once for all.
    """
    monkeypatch.setattr(Registry, "installed", lambda **options: registry_entries.copy())

    def called(*arguments: str) -> Said:
        monkeypatch.chdir(corpus)
        monkeypatch.setenv("XDG_CACHE_HOME", str(corpus / ".cache"))
        monkeypatch.setattr(sys, "argv", ["annpipe", *arguments])
        code = outcome()
        printed = capsys.readouterr()
        return code, printed.out, _everywhere(printed.err, corpus)

    return called


def _everywhere(report: str, corpus: Path) -> str:
    """The report without what differs from one computer to the next."""
    report = report.replace(str(corpus), ".").replace(str(corpus.resolve()), ".")
    report = re.sub(r"the machine has [\d.]+ [KMGT]iB", "the machine has <memory>", report)
    return re.sub(r"torch \d+\.\d+\.\d+\S*", "torch <version>", report)


def _held_against(golden: Path, report: str) -> None:
    if os.environ.get("ANNPIPE_WRITE_GOLDEN"):
        golden.write_text(report, encoding="utf-8")
    assert report == golden.read_text(encoding="utf-8")


def _codes(report: str) -> set[str]:
    return set(re.findall(r"^(?:error|warning)\[([\w-]+)\]", report, re.M))


# --- the specs


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: str(path.relative_to(FOLDER).with_suffix("")))
def test_a_wrong_spec_has_exactly_this_report(spec: Path, call: Validate) -> None:
    """Exit code 3, nothing on stdout, and the golden text on stderr."""
    code, out, report = call("validate", *_options(spec), str(spec.relative_to(FOLDER)))
    assert code == 3, report
    assert out == ""
    _held_against(spec.with_suffix(".txt"), report)


def _options(spec: Path) -> list[str]:
    first = spec.read_bytes().partition(b"\n")[0]
    return shlex.split(first.removeprefix(b"# validate: ").decode()) if first.startswith(b"# validate: ") else []


def test_no_spec_of_a_stranger_imports_its_plugin(call: Validate, corpus: Path) -> None:
    """`marker.py` would leave a file behind."""
    call("validate", "--untrusted", "untrusted/misspelt-beside-a-plugin.yaml")
    assert not list((corpus / "untrusted").glob("*.imported"))
    call("validate", "untrusted/misspelt-beside-a-plugin.yaml")
    assert [path.name for path in (corpus / "untrusted").glob("*.imported")] == ["marker.imported"]
    (corpus / "untrusted" / "marker.imported").unlink()


# --- what no spec can show

WHOLE = """version: 1
name: right
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}
model: [Linear: 4, Linear: 1]
loss: L1Loss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""
FILES = {
    "collapse.yaml": WHOLE,
    "bytes.yaml": f"{WHOLE}description: {'x' * 2**20}\n",
    "digits.yaml": f"{WHOLE}seed: {'1' * 5000}\n",
    "stranger.yaml": f"{WHOLE.replace('Linear: 4, ', 'Linear: 4, Swish, ')}plugins: [./swish.py]\n",
    "swish.py": '"""Under --untrusted nobody may read this."""\n',
    "device.yaml": f"{WHOLE.replace('Linear: 4, ', '')}device: cuda\n",
}
OF_CLASSES = WHOLE.replace("y: [1, 3]", "y: [a, b]").replace("Linear: 4, Linear: 1", "Linear: 2")
OF_ONES = WHOLE.replace("y: [1, 3]", "y: [0, 1]").replace("Linear: 4, ", "").replace("L1Loss", "BCEWithLogitsLoss")
OF_THREE = OF_ONES.replace("x: [0, 1]", "x: [0, 1, 2]").replace("y: [0, 1]", "y: [a, b, c]")
WARNED = {
    "softmax-twice.yaml": OF_CLASSES.replace("L1Loss", "CrossEntropyLoss").replace("2]", "2, Softmax, Identity]"),
    "log-softmax-twice.yaml": OF_CLASSES.replace("L1Loss", "CrossEntropyLoss").replace("2]", "2, LogSoftmax]"),
    "softmax-for-its-logarithm.yaml": OF_CLASSES.replace("L1Loss", "NLLLoss").replace("2]", "2, Softmax]"),
    "no-softmax-at-all.yaml": OF_CLASSES.replace("L1Loss", "NLLLoss"),
    "sigmoid-twice.yaml": OF_ONES.replace("Linear: 1]", "Linear: 1, Sigmoid]"),
    "no-sigmoid-at-all.yaml": OF_ONES.replace("BCEWithLogitsLoss", "BCELoss"),
    "sigmoid-inside-a-sum.yaml": OF_ONES.replace("1]\n", "1, Sigmoid]\n").replace(
        "BCEWithLogitsLoss", "{weighted_sum: [[MSELoss, BCEWithLogitsLoss]]}"
    ),
    "ones-of-three-classes.yaml": OF_THREE,
    "probabilities-of-three-classes.yaml": OF_THREE.replace("BCEWithLogits", "BCE").replace("1]\n", "1, Sigmoid]\n"),
    "metric-of-classes.yaml": f"{WHOLE.replace('Linear: 4, ', '')}metrics: [Accuracy, MeanAbsoluteError, AUROC]\n",
    "goal-of-scheduler.yaml": f"{WHOLE.replace('Linear: 4, ', '')}scheduler: {{ReduceLROnPlateau: {{mode: max}}}}\n",
}
RARE = OF_CLASSES.replace("L1Loss", "CrossEntropyLoss").replace("[0, 1]", "[0, 1, 2, 3, 4, 5]")
SPLIT = RARE.replace("[a, b]}}}", "[a, b, a, b, c, c]}}, split: {val: 0.34, HOW}}").replace("Linear: 2]", "Linear: 3]")
TOLD = WHOLE.replace("Linear: 4, ", "").replace("[0, 1]}", "[0, 1, 2, 3, 4]}").replace("[1, 3]", "[1, 3, 5, 7, 10]")
SERIES = WHOLE.replace("{x: [0, 1]}", "{a: [0, 1], b: [1, 2], c: [2, 0], d: [3, 1], e: [1, 1], f: [2, 1]}").replace(
    "Linear: 4, ", "Unflatten: {dim: 1, unflattened_size: [2, 3]}, LAYERS, "
)
ENDING = WHOLE.replace("Linear: 4, ", "").replace("epochs: 1}", "epochs: 12}")
WARNED |= {
    "numbers-as-words.yaml": OF_THREE.replace("[a, b, c]", "['1%', '5%', '10%']")
    .replace("Linear: 1", "Linear: 3")
    .replace("BCEWithLogitsLoss", "CrossEntropyLoss"),
    "schedule.yaml": f"{ENDING}scheduler: {{PolynomialLR: {{total_iters: 5}}}}\n",
    "clipped-curvature.yaml": ENDING.replace("SGD", "LBFGS").replace("12}", "12, clip_norm: 1.0}"),
    "memory.yaml": WHOLE.replace("Linear: 4, ", "Linear: 10000000, ReLU, Linear: 10000000, ReLU, "),
    "steps-for-channels.yaml": SERIES.replace("LAYERS", "LSTM: 8, BatchNorm1d, Flatten"),
    "steps-for-channels-of-a-convolution.yaml": SERIES.replace(
        "LAYERS", "Conv1d: {out_channels: 2, kernel_size: 1}, GRU: 3, Flatten"
    ),
    "schedule-below-zero.yaml": f"{ENDING}scheduler: {{LambdaLR: 1 - epoch / 5}}\n",
    "class-that-train-lacks.yaml": SPLIT.replace("HOW", "order: x"),
    "class-of-few-rows.yaml": SPLIT.replace("c, c]", "a, c]").replace("HOW", "order: x"),
    "target-among-the-inputs.yaml": TOLD.replace("10]}}}", "9]}}, transforms: {x: standardize}}"),
}
SHOWN = {
    "constant-column.yaml": TOLD.replace("{x: [", "{a: [1, 1, 1, 1, 1], b: [3, 3, 3, 3, 3], x: ["),
    "rows-in-train-and-val.yaml": SPLIT.replace("0, 1, 2, 3, 4, 5", "0, 1, 2, 3, 0, 1").replace("HOW", "stratify: y"),
}
COMMANDS = {
    **{f"data-{file.removesuffix('.yaml')}": (f"data warned/{file}", 0) for file in SHOWN},
    **{file.removesuffix(".yaml"): (f"validate warned/{file}", 0) for file in WARNED},
    "file-not-found": ("validate yaml-of-mine/spec.yaml", 3),
    "file-not-found-with-others-there": ("validate made/colapse.yaml", 3),
    "file-not-readable": ("validate yaml", 3),
    "spec-too-large": ("validate made/bytes.yaml", 3),
    "number-too-long": ("validate made/digits.yaml", 3),
    "linear-collapse": ("validate made/collapse.yaml", 0),
    "unchecked": ("validate --untrusted made/stranger.yaml", 0),
    "several-specs": ("validate made/collapse.yaml losses/three-inputs.yaml yaml/tag.yaml", 3),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_exactly_this_report(name: str, call: Validate, corpus: Path) -> None:
    for folder, files in (("made", FILES), ("warned", WARNED | SHOWN)):
        (corpus / folder).mkdir(exist_ok=True)
        for file, text in files.items():
            (corpus / folder / file).write_text(text, encoding="utf-8")
    command, expected = COMMANDS[name]
    code, _, report = call(*shlex.split(command))
    assert code == expected, report
    _held_against(OTHER / f"{name}.txt", report)


def test_a_device_that_is_not_here_has_exactly_this_report(
    annpipe: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Devices are looked for when a run starts; here none is to be seen but the CPU."""
    (tmp_path / "device.yaml").write_text(FILES["device.yaml"], encoding="utf-8")
    said = annpipe("run", "device.yaml", CUDA_VISIBLE_DEVICES="", PYTHONWARNINGS="ignore")
    assert said.returncode == 3
    _held_against(OTHER / "no-such-device.txt", said.stderr)


# --- all reports together

REPORTS = [spec.with_suffix(".txt") for spec in SPECS] + [
    OTHER / f"{name}.txt" for name in (*COMMANDS, "no-such-device")
]


def test_the_corpus_is_all_there() -> None:
    """The glob reaches the specs, and each report belongs to a spec or to a command."""
    assert len(SPECS) >= 120
    assert set(FOLDER.rglob("*.txt")) - {FOLDER / "plugins" / "notes.txt"} == set(REPORTS)


def test_every_code_has_a_report() -> None:
    """The codes are those of the pages of `annpipe explain`, which a test of its own holds against the sources."""
    shown = {code for path in REPORTS for code in _codes(path.read_text(encoding="utf-8"))}
    assert set(explain.pages()) - shown == set()


@pytest.mark.parametrize("golden", REPORTS, ids=lambda path: str(path.relative_to(FOLDER).with_suffix("")))
def test_a_report_speaks_of_the_spec_and_not_of_python(golden: Path) -> None:
    """Every problem stands at file, line and column, and in words that need no knowledge of annpipe's own parts."""
    report = golden.read_text(encoding="utf-8")
    assert _codes(report)
    assert not [word for word in JARGON if word in report]
    for problem in re.split(r"^(?=error\[|warning\[)", report, flags=re.M)[1:]:
        placed = re.search(r"^ *┌─ (\S.*:\d+:\d+|the command line)$", problem, re.M)
        assert placed or _codes(problem) <= set(WITHOUT_PLACE), problem
