"""Every block of code in the pages is tried: specs are planned, Python is run, plain text is compared."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from annpipe.spec.yaml.reader import read_text
from tests.docs.pages import BLOCKS, PAGES, ROOT, Block, the_block, tried

CliHere = Callable[..., tuple[int, str, str]]

BASE = {
    "version": "version: 1",
    "name": "name: page",
    "data": "data: {formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}, z: {Uniform: [-1, 1]}}, targets: {y: x*z}}}",
    "model": "model: [Linear: 4, ReLU, Linear: 1]",
    "loss": "loss: MSELoss",
    "optimizer": "optimizer: {Adam: {lr: 0.01}}",
    "train": "train: {epochs: 1}",
}
PICTURES = "data: {npz: {file: rows.npz, inputs: [image, age, cost, cost_2], targets: [age_2]}}"
PENGUINS = "data: {npz: {file: rows.npz, inputs: [age, cost], targets: [species, mass], labels: [species]}}"
ARRAYS = {name: np.arange(6.0) % 3 for name in ("age", "age_2", "cost", "cost_2", "species", "mass")}
ARRAYS |= {"image": np.ones((6, 1, 8, 8))}
AMOUNTS = "data: {table: {inputs: {x: [0, 1, 2]}, targets: {amount: [1, 2, 3], late: [0, 1, 0]}}}"
TWO_OUTPUTS = "model: [Linear: 2]"
SEQUENCES = "plugins: [./waves.py]\ndata: {waves: {rows: 40}}"
# What a fragment needs beside it, by words that only this fragment has.
BESIDE = {
    "files: tables/penguins.csv": ["model: [Linear: 3]", "loss: CrossEntropyLoss"],
    "output_of": [SEQUENCES],
    "picture: {columns: image": [PICTURES],
    "species: {layers": [PENGUINS],
    "per_target": [AMOUNTS, TWO_OUTPUTS],
}
# The width after each layer, by words of the fragment.
WIDTHS = {
    "- repeat: ": [64, 64, 64, 16, 1],
    "encoder: [Linear: 32": [32, 32, 1],
    "kaiming_normal_": [32, 32, 1],
    "- tap: given": [2, 16, 16, 16, 18, 16, 16, 34, 1],
    "output_of": [32, 1],
    "picture: {columns: image": [32, 32, 1],
    "species: {layers": [32, 32],
}
# Plain text that a test compares with what annpipe prints; other plain text is marked `<!-- output -->` or
# `<!-- diagram -->`.
COMPARED = ("error[unknown-component]", "# yaml-language-server", "→ scaffold → testing → sklearn")
# Python on the pages, and the test that runs it; that of plugins/README.md is run by tests/plugins/test_readme.py.
PYTHON = {
    "class Swish": ("docs/test_readme.py", "test_the_plugin_of_the_readme_works"),
    "component_tests": ("docs/test_commands_on_pages.py", "test_the_component_of_the_guide_is_checked"),
    "run_sweep": ("docs/conftest.py", "used_project"),
    "compare_with_solo": ("docs/test_commands_on_pages.py", "test_the_members_of_a_stack_are_compared"),
    "mlflow.search_runs": ("docs/test_commands_on_pages.py", "test_what_the_page_on_mlflow_asks_is_answered"),
    "search_logged_models": ("docs/test_commands_on_pages.py", "test_what_the_page_on_mlflow_asks_is_answered"),
    "mlflow.pyfunc.load_model": ("docs/test_commands_on_pages.py", "test_the_saved_model_answers_in_mlflow"),
}
SERVES = "not run: it serves until it is stopped"
LEFT_OUT = [
    *("docs/editor.md: not run: needs Neovim", "docs/editor.md: not run: needs npm"),
    *("docs/howto/from_hydra.md: not run: needs Hydra", "docs/howto/from_hydra.md: not run: needs Hydra"),
    *("docs/howto/from_keras.md: not run: needs Keras", "docs/howto/from_lightning.md: not run: needs Lightning"),
    *("docs/howto/from_ludwig.md: not run: needs Ludwig", "docs/howto/from_ludwig.md: not run: needs Ludwig"),
    "docs/howto/look_inside.md: not run: a section of a spec",
    *(f"docs/howto/mlflow_server.md: {SERVES}", "docs/howto/mlflow_server.md: not run: needs a server"),
    *[f"docs/howto/serve.md: {SERVES}"] * 3,
    "docs/models.md: not run: it needs the run",
    *(f"docs/tutorial.md: {SERVES}", f"docs/tutorial_ko.md: {SERVES}"),
]


def test_the_pages_are_all_there() -> None:
    """The glob finds each page; a new one is counted here."""
    assert len(PAGES) >= 35
    assert {block.page for block in BLOCKS} <= {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert all(page.read_text(encoding="utf-8").count("\n```") % 2 == 0 for page in PAGES)


def test_every_block_is_of_a_kind_that_a_test_tries() -> None:
    """No language is without a test, and no block is left out in silence."""
    assert {block.language for block in tried(*{block.language for block in BLOCKS})} <= {
        *("yaml", "sh", "console", "python", "text", "toml", "mermaid")
    }
    left_out = sorted(f"{block.page}: {block.note}" for block in BLOCKS if block.note.startswith("not run: "))
    assert left_out == LEFT_OUT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_code_hides_in_an_indented_block(page: Path) -> None:
    """Code stands between fences, where the tests find it."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    assert not re.search(r"\n\n {4,}\S", text)


@pytest.mark.parametrize("block", tried("text"), ids=lambda block: block.id)
def test_plain_text_is_compared_or_marked(block: Block) -> None:
    """Words that nothing prints are no output."""
    assert block.note in ("output", "diagram") or any(words in block.text for words in COMPARED)


@pytest.mark.parametrize("block", tried("python"), ids=lambda block: block.id)
def test_python_is_run_by_a_test(block: Block) -> None:
    """Each block by the test that is named for it."""
    if block.page == "plugins/README.md":
        return
    ((file, test),) = (place for words, place in PYTHON.items() if words in block.text)
    assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("block", tried("toml"), ids=lambda block: block.id)
def test_toml_can_be_read(block: Block) -> None:
    """The packaging of a plugin."""
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", tried("mermaid"), ids=lambda block: block.id)
def test_a_picture_names_folders_that_exist(block: Block) -> None:
    """Every path in it is there."""
    paths = re.findall(r"\b(?:annpipe|plugins|tests|docs)/[\w/]+", block.text)
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()]


def test_the_fragments_with_company_are_on_the_pages() -> None:
    """Each key of the tables above means exactly one block."""
    texts = [block.text for block in tried("yaml")]
    for words in (*BESIDE, *WIDTHS):
        assert sum(words in text for text in texts) == 1, words


@pytest.mark.parametrize("block", tried("yaml"), ids=lambda block: block.id)
def test_a_spec_or_a_part_of_one_is_right(block: Block, annpipe_here: CliHere, tmp_path: Path) -> None:
    """Planned as it stands, or within a small spec in the place of its sections; a sweep is planned as one."""
    _files_for(block, tmp_path)
    (tmp_path / "spec.yaml").write_text(_whole(block.text), encoding="utf-8")
    if re.search(r"^sweep:", block.text, re.M):
        code, _, err = annpipe_here("sweep", "spec.yaml", "--dry-run")
        assert code == 0, err
        return
    code, out, err = annpipe_here("plan", "spec.yaml")
    assert code == 0, err
    for words, widths in WIDTHS.items():
        if words in block.text:
            rows = [line for line in out.splitlines() if re.match(r"\d+ ", line)]
            assert [int(re.findall(r"\(rows, (\d+)\)", row)[-1]) for row in rows] == widths


def _whole(text: str) -> str:
    """The spec, or the base spec with the sections of the text, and what it needs, in the place of its own."""
    if re.search(r"^(version|extends):", text, re.M):
        return text
    parts = [text, *next((parts for words, parts in BESIDE.items() if words in text), [])]
    taken = {name for part in parts for name in re.findall(r"^(\w+):", part, re.M)}
    taken |= {"loss"} if re.search(r"^  outputs:", text, re.M) else set()  # whose heads have losses of their own
    return "\n".join([line for name, line in BASE.items() if name not in taken] + parts) + "\n"


def _files_for(block: Block, folder: Path) -> None:
    """The files that the specs of the pages name."""
    shutil.copy(ROOT / "pipelines" / "quadratic.yaml", folder)
    shutil.copy(ROOT / "pipelines" / "waves.py", folder)
    shutil.copytree(ROOT / "pipelines" / "tables", folder / "tables")
    np.savez(folder / "rows.npz", **ARRAYS)
    (folder / "rows").mkdir()
    numbers = [n / 10 for n in range(100)]
    pyarrow.parquet.write_table(pyarrow.table({"x": numbers, "y": numbers}), folder / "rows" / "part.parquet")
    if "./swish.py" in block.text:
        (folder / "swish.py").write_text(the_block("plugins/README.md", "python", "class Swish"), encoding="utf-8")


def test_the_examples_in_the_table_of_sections_are_yaml() -> None:
    """Each cell of the last column, read by annpipe's reader."""
    table = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8").partition("| section | content |")[2]
    rows = [line for line in table.partition("\n\n")[0].splitlines() if line.startswith("| `")]
    examples = [re.findall(r"`([^`]+)`", row)[-1] for row in rows]
    assert len(examples) >= 15
    for example in examples:
        read_text(example, "example")
