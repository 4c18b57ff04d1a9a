"""A spec checked without torch: all problems at once, contradictions, and plugins that are not trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.reader import read_text

SPEC = {
    "version": "1",
    "name": "small",
    "data": "{table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}",
    "model": "[Linear: 1]",
    "loss": "L1Loss",
    "optimizer": "Adam",
    "train": "{epochs: 1}",
}


def drafted(registry: Registry, project: Path, *, untrusted: bool = False, **sections: str):  # type: ignore[no-untyped-def]  # the draft
    text = "\n".join(f"{name}: {value}" for name, value in {**SPEC, **sections}.items())
    file = str(project / "spec.yaml")
    return draft(read_spec(read_text(text, file), file), registry.copy(), project=project, untrusted=untrusted)


def messages(registry: Registry, project: Path, **sections: str) -> list[str]:
    """What is wrong with a spec; empty for one that is right."""
    try:
        drafted(registry, project, **sections)
    except SpecError as error:
        return [problem.message for problem in error.problems]
    return []


PLATEAU = "ReduceLROnPlateau"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"train": "{epochs: 1, accumulate: 2, batch_size: 1}"}, None),
        ({"train": "{epochs: 1, accumulate: 2}"}, "`batch_size: all` has only one"),
        ({"optimizer": "LBFGS"}, None),
        ({"optimizer": "LBFGS", "device": "{autocast: float16}"}, "LBFGS evaluates the model several times a step"),
        ({"optimizer": "LBFGS", "train": "{epochs: 1, non_finite: skip}"}, "of which none can be undone"),
        ({"device": "{autocast: float16}", "train": "{epochs: 1, non_finite: skip}"}, "nothing to skip"),
        ({"train": "{epochs: 1, non_finite: skip}"}, None),
        ({"train": "{epochs: 1, scheduler_each: step}"}, "there is no scheduler that could go on at each step"),
        ({"train": "{epochs: 1, scheduler_each: step}", "scheduler": "{StepLR: 1}"}, None),
        ({"train": "{epochs: 1, scheduler_each: step}", "scheduler": PLATEAU}, "a metric is known once an epoch"),
        ({"scheduler": PLATEAU}, None),
        ({"scheduler": "{ReduceLROnPlateau: {monitor: lr}}"}, "there is no metric 'lr'"),
        ({"callbacks": "[{early_stopping: {monitor: val/loss}}]"}, "there is no metric 'val/loss'"),
    ],
)
def test_options_that_do_not_go_together(
    sections: dict[str, str], message: str | None, registry_entries: Registry, tmp_path: Path
) -> None:
    """Are one problem; each of them alone is right."""
    found = messages(registry_entries, tmp_path, **sections)
    assert len(found) == (message is not None)
    assert all((message or "") in text for text in found)


def test_all_problems_come_at_once(registry_entries: Registry, tmp_path: Path) -> None:
    """Of every section."""
    found = messages(
        registry_entries, tmp_path, model="[Liner: 1]", loss="{L1Loss: {reduction: most}}", train="{epochs: 0}", sed="3"
    )
    assert len(found) == 4


def test_the_fields_of_the_data_are_known_without_torch(registry_entries: Registry, tmp_path: Path) -> None:
    """Where their function stands apart from it."""
    made = drafted(registry_entries, tmp_path)
    assert list(made.fields.inputs) == ["x"]
    assert (list(made.fields.targets), made.fields.rows) == (["y"], 2)


PLUGIN = """
from pathlib import Path
import torch
from annpipe import layer

Path(__file__).with_name("imported").touch()


@layer
class Own(torch.nn.Module):
    \"\"\"Its own.\"\"\"
"""


def test_a_plugin_of_the_spec_is_imported_and_known(registry_entries: Registry, tmp_path: Path) -> None:
    """In the registry of this draft alone."""
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    made = drafted(registry_entries, tmp_path, plugins="[./own.py]", model="[Own, Linear: 1]")
    assert (tmp_path / "imported").exists()
    assert [layer.name for layer in made.model] == ["Own", "Linear"]
    assert registry_entries.find("layer", "Own") is None


def test_a_plugin_of_an_untrusted_spec_is_not_imported(registry_entries: Registry, tmp_path: Path) -> None:
    """What it may define is a warning; other mistakes are errors as ever."""
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    made = drafted(registry_entries, tmp_path, untrusted=True, plugins="[./own.py]", model="[Own, Linear: 1]")
    assert not (tmp_path / "imported").exists()
    assert {(problem.code, problem.severity) for problem in made.unchecked} == {("unchecked", "warning")}
    assert len(made.unchecked) == 2
    with pytest.raises(SpecError) as caught:
        drafted(registry_entries, tmp_path, untrusted=True, plugins="[./own.py]", model="[Own, {Linear: x}]")
    assert sorted(problem.severity for problem in caught.value.problems) == ["error", "warning", "warning"]


def test_the_fault_of_a_plugin_says_where_it_is_listed(registry_entries: Registry, tmp_path: Path) -> None:
    """A name that it may define is no second fault."""
    (tmp_path / "own.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        drafted(registry_entries, tmp_path, plugins="[./own.py]", model="[Own, Linear: 1]")
    (problem,) = caught.value.problems
    assert "ZeroDivisionError" in problem.message
    assert [(place.line, words) for place, words in problem.related][-1] == (8, "listed here")
