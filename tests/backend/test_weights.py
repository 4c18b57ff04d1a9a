"""A model that begins with the weights of a run: which values, from where, and what is no weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.resolve.resolve import resolve
from annpipe.record.journal import journal
from annpipe.registry.registry import Registry
from annpipe.runs.launch import plan_of
from annpipe.runs.trained import trained_run
from annpipe.spec import load_spec
from annpipe.testing import compare_with_solo
from annpipe.train.parts import build_model
from tests.conftest import CliHere, unrecorded
from tests.training import Fit, Go, KeepingObserver, Planned

HEAD = """
version: 1
name: base
seed: 3
device: {type: cpu, threads: 1, compile: off}
data:
  formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: sin(5*x)}}
  transforms: {x: standardize, y: standardize}
loss: MSELoss
optimizer: {Adam: {lr: 0.1}}
train: {epochs: 3}
"""
BASE = HEAD + "model: [Linear: 6, BatchNorm1d, Tanh, Linear: 1]\n"
CHILD = HEAD.replace("base", "child") + "model: {from: FROM, layers: [Linear: 6, BatchNorm1d, Tanh, Linear: 1]}\n"
OTHER = CHILD.replace("Tanh, Linear: 1]", "Tanh, Linear: 4, Linear: 1]")
SOURCES = ("run-0", "run-0/model", "run-0/model/weights.safetensors", "copied.safetensors")


def from_(spec: str, text: str) -> str:
    """The spec that begins with those weights."""
    return spec.replace("FROM", text)


@pytest.fixture
def base(go: Go, tmp_path: Path) -> Path:
    """A finished run, and a copy of its weights beside the specs."""
    folder = go(BASE).folder
    shutil.copy(folder / "model/weights.safetensors", tmp_path / "copied.safetensors")
    return folder


def of_network(folder: Path) -> dict[str, torch.Tensor]:
    """The saved values of the network without the transforms around it."""
    saved = load_file(folder / "model/weights.safetensors")
    return {key.removeprefix("network."): value for key, value in saved.items() if key.startswith("network.")}


def test_all_values_are_those_of_the_run_however_it_is_named(base: Path, planned: Planned) -> None:
    """Its folder, its model's, the file, a copy of the file; the digest is that of the values, not of the name."""
    plans = [planned(from_(CHILD, source)) for source in SOURCES]
    saved = of_network(base)
    for plan in plans:
        state = build_model(plan).state_dict()
        assert state.keys() == saved.keys()
        assert all(torch.equal(state[name], saved[name]) for name in saved)
    assert len({plan.digest for plan in plans}) == len({plan.weights.digest for plan in plans}) == 1
    assert planned(BASE).digest != plans[0].digest


def test_the_first_loss_is_that_of_the_weights_in_plain_torch(base: Path, fit: Fit) -> None:
    """Transforms learn from the rows of the run itself: the same rows here, so standardized x and y are the same."""
    run = fit(from_(CHILD, "run-0"))
    rows, saved = run.parts.rows["train"], of_network(base)
    hidden = torch.nn.functional.linear(rows.x, saved["0.weight"], saved["0.bias"])
    hidden = torch.nn.functional.batch_norm(
        hidden, saved["1.running_mean"], saved["1.running_var"], saved["1.weight"], saved["1.bias"], training=True
    ).tanh()
    output = torch.nn.functional.linear(hidden, saved["3.weight"], saved["3.bias"])
    assert run.losses[0] == pytest.approx(float(torch.nn.functional.mse_loss(output, rows.y)), rel=1e-6)


def test_some_layers_are_taken_and_the_rest_begins_as_it_would(base: Path, planned: Planned) -> None:
    """By patterns, and by what fits; what is drawn is what the stream gives without weights."""
    drawn = build_model(planned(OTHER.replace("from: FROM, ", ""))).state_dict()
    saved = of_network(base)
    for said in ("{weights: run-0, layers: [0, '1.*']}", "{weights: run-0, else: init}"):
        plan = planned(from_(OTHER, said))
        state = build_model(plan).state_dict()
        assert all(torch.equal(state[name], saved[name]) for name in saved if name[0] in "01")
        assert all(torch.equal(state[name], drawn[name]) for name in drawn if name[0] in "34")
        assert [name for name in plan.weights.left if name[0] in "01"] == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "run-0",
            "'3.weight' is (1, 6) there and (4, 6) here; '3.bias' is (1,) there and (4,) here; '4.weight' is not",
        ),
        ("{weights: run-0, layers: [3, 4]}", "nothing of the model fits"),
        ("{weights: run-0, layers: 7}", "no parameter of the model is meant by '7'"),
        ("run-9", "there is no run, folder or file 'run-9'"),
        ("spec.yaml", "is no file of safetensors, and other files of weights may hold code"),
        ("broken.safetensors", "holds no weights that can be read"),
        ("{weights: run-0, layers: [0], digest: abc}", "are not those of this plan (digest"),
    ],
)
def test_what_does_not_fit_is_said_at_its_line(
    said: str, message: str, base: Path, planned: Planned, tmp_path: Path
) -> None:
    """Names, shapes, patterns, files."""
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(SpecError) as caught:
        planned(from_(OTHER, said))
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.place.line == from_(OTHER, said)[: from_(OTHER, said).index(said)].count("\n") + 1


def test_values_that_the_model_lacks_are_a_misfit(base: Path, planned: Planned) -> None:
    """A shorter model: its layers fit, and the run has more."""
    short = HEAD + "model: {from: FROM, layers: [Linear: 6, BatchNorm1d, Linear: 1]}\n"
    with pytest.raises(SpecError, match=r"'3\.bias' is not in the model"):
        planned(from_(short, "run-0"))


def test_weights_of_an_untrusted_spec_lie_in_its_folder(base: Path, tmp_path: Path, registry_entries: Registry) -> None:
    """A run of the project beside it is none of its files."""
    home = tmp_path / "sent"
    home.mkdir()
    for name, said in (("out.yaml", "../run-0"), ("in.yaml", "own.safetensors")):
        (home / name).write_text(from_(CHILD, said), encoding="utf-8")
    shutil.copy(base / "model/weights.safetensors", home / "own.safetensors")

    def plan(name: str) -> Any:
        loaded = load_spec(home / name, untrusted=True)
        return resolve(draft(loaded, registry_entries.copy(), project=tmp_path, untrusted=True))

    assert plan("in.yaml").weights.taken
    with pytest.raises(SpecError, match="lies outside the folder of an untrusted spec"):
        plan("out.yaml")


def test_what_a_transform_has_trained_is_not_taken(go: Go, planned: Planned, tmp_path: Path) -> None:
    """An embedding's rows are for the words of the data that it learnt from."""
    (tmp_path / "words.csv").write_text("w,x,y\n" + "a,1,2\nb,2,3\nc,3,1\na,2,2\n" * 5, encoding="utf-8")
    data = "data:\n  csv: {files: words.csv, target: y}\n  transforms: {w: {embedding: 2}, x: standardize}\n"
    text = BASE[: BASE.index("data:")] + data + BASE[BASE.index("loss:") :]
    go(text)
    plan = planned(text.replace("model: [", "model: {from: run-0, layers: [").replace("Linear: 1]", "Linear: 1]}"))
    assert sorted(plan.weights.taken) == sorted(build_model(planned(text)).state_dict())
    assert not any("columns" in name for name in plan.weights.taken)


def test_a_run_goes_on_and_is_opened_when_those_weights_are_gone(base: Path, go: Go) -> None:
    """It keeps the values that it began with; the plan in its folder has the digest of them."""
    child = go(from_(CHILD, "run-0"), "train.epochs=2").folder
    shutil.rmtree(base)
    plan = plan_of(child, KeepingObserver())
    assert plan.weights.file == child / "begun_from.safetensors"
    with trained_run(child) as run:
        assert run.plan.digest == plan.digest


def test_the_record_names_the_run_that_a_run_began_from(annpipe_here: CliHere, tmp_path: Path) -> None:
    """By its name; `annpipe plan` says what is taken, `annpipe runs` whose child it is."""
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "child.yaml").write_text(from_(CHILD, "base"), encoding="utf-8")
    with unrecorded():
        assert annpipe_here("run", "base.yaml")[0] == 0
        source = next((tmp_path / "runs").glob("base-*")).name
        _, plan, _ = annpipe_here("plan", "child.yaml")
        assert f"from       the run {source} (digest " in plan
        assert "): 0.weight, 0.bias, 1.weight" in plan
        assert "what transforms learn is learnt from the data of this run" in plan
        assert annpipe_here("run", "child.yaml")[0] == 0
    child = next((tmp_path / "runs").glob("child-*"))
    begun = journal.run_begun(child)
    assert begun.tags["annpipe.from"] == begun.params["model.from"] == source
    assert source in begun.description
    assert source in annpipe_here("runs")[1].splitlines()[2].split()


def test_members_of_a_stack_begin_with_weights_as_runs_by_themselves_do(base: Path, tmp_path: Path) -> None:
    """A sweep whose trials are one stack; two sources are an axis like any other."""
    shutil.copytree(base, tmp_path / "run-1")
    weights = load_file(base / "model/weights.safetensors")
    save_file({name: value * 2 for name, value in weights.items()}, tmp_path / "run-1/model/weights.safetensors")
    sweep = "sweep: {over: {model.from.weights: [run-0, run-1], optimizer.SGD.lr: [0.1, 0.01]}}\n"
    text = from_(CHILD, "{weights: run-0}").replace("compile: off", "precision: float64").replace("Adam", "SGD") + sweep
    (tmp_path / "sweep.yaml").write_text(text, encoding="utf-8")
    compare_with_solo(str(tmp_path / "sweep.yaml"), n_steps=3).check()


def test_what_a_spec_extends_may_say_the_weights(base: Path, tmp_path: Path, registry_entries: Registry) -> None:
    """They are merged like any section, and taken back with null."""
    (tmp_path / "child.yaml").write_text(from_(CHILD, "{weights: run-0}"), encoding="utf-8")

    def weights(more: str, *overrides: str) -> Any:
        (tmp_path / "more.yaml").write_text(f"extends: child.yaml\nname: more\n{more}", encoding="utf-8")
        return draft(load_spec(tmp_path / "more.yaml", overrides), registry_entries.copy(), project=tmp_path).weights

    assert weights("").to_data() == {"weights": "run-0"}
    assert weights("model: {from: {layers: [0]}}\n").to_data() == {"weights": "run-0", "layers": ["0"]}
    assert weights("", "model.from.else=init").to_data() == {"weights": "run-0", "else": "init"}
    assert weights("model: {from: null}\n") is None
