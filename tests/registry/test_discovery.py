"""What a plugin does wrong is a fault that names file, line and remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from annpipe import layer
from annpipe.errors import Problem
from annpipe.registry.discovery import PluginFault, function_of, imported, load
from annpipe.registry.entry import Entry, Origin
from annpipe.registry.registry import Registry

Write = Callable[[str, str], Path]

GOOD = '''"""A plugin."""
import torch
from annpipe import layer


@layer
class Swish(torch.nn.Module):
    """x times its sigmoid."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
'''


def written(folder: Path, text: str) -> Path:
    file = folder / "swish.py"
    file.write_text(text, encoding="utf-8")
    return file


def fault(folder: Path, text: str) -> Problem:
    """The problem with a plugin file; its place must lie in that file."""
    file = written(folder, text)
    with pytest.raises(PluginFault) as caught:
        Registry().add_file(file)
    problem = caught.value.problem
    assert caught.value.exit_code == 3
    assert problem.place is not None
    assert problem.place.file == str(file)
    assert problem.help
    return problem


def marked(folder: Path, text: str) -> tuple[Problem, str, str]:
    """The problem, the line it points at and the stretch under its carets."""
    problem = fault(folder, text)
    assert problem.place
    line = text.splitlines()[problem.place.line - 1]
    start = problem.place.column - 1
    return problem, line, line[start : start + problem.place.length]


def test_a_good_file_gives_its_components(tmp_path: Path) -> None:
    """Name, options, words, origin and the line of the definition, as the author wrote them."""
    file = written(tmp_path, GOOD)
    (entry,) = Registry().add_file(file)
    assert (entry.kind, entry.name, entry.summary) == ("layer", "Swish", "x times its sigmoid.")
    assert [(p.name, p.type, p.default) for p in entry.parameters] == [("beta", "float", 1.0)]
    assert (entry.file, entry.line, str(entry.origin)) == (str(file), 7, str(file))


def test_a_loaded_component_is_the_class_in_the_file(tmp_path: Path) -> None:
    """The entry's target leads back to it, and no bytecode is left beside the file."""
    registry = Registry()
    (entry,) = registry.add_file(written(tmp_path, GOOD))
    assert registry.load(entry)(beta=2.0).beta == 2.0
    assert not list(tmp_path.rglob("*.pyc"))


def test_an_exception_on_import_is_placed_at_the_line_that_led_to_it(tmp_path: Path) -> None:
    """The user's line, also where the exception comes out of a library."""
    problem, line, _ = marked(tmp_path, GOOD + "\nimport json\nSIZES = json.loads('{')\n")
    assert line == "SIZES = json.loads('{')"
    assert problem.code == "plugin-import"
    assert "JSONDecodeError" in problem.message


def test_a_missing_library_is_placed_at_its_import(tmp_path: Path) -> None:
    """The name of the library is in the message."""
    problem, line, _ = marked(tmp_path, "import no_such_library\n")
    assert line == "import no_such_library"
    assert "no_such_library" in problem.message


def test_a_syntax_error_is_placed_where_it_is(tmp_path: Path) -> None:
    """Not at annpipe's own import call."""
    problem, line, _ = marked(tmp_path, GOOD + "\nclass Broken(:\n    pass\n")
    assert line == "class Broken(:"
    assert "SyntaxError" in problem.message


def test_a_plugin_that_exits_does_not_end_the_command(tmp_path: Path) -> None:
    """SystemExit on import is a fault like any other."""
    problem, line, _ = marked(tmp_path, "import sys\nsys.exit(0)\n")
    assert line == "sys.exit(0)"
    assert "SystemExit" in problem.message


def test_a_fault_leaves_no_module_behind(tmp_path: Path) -> None:
    """The next try imports the mended file afresh."""
    before = set(sys.modules)
    fault(tmp_path, "1 / 0\n")
    assert not [name for name in set(sys.modules) - before if name.startswith("annpipe_plugin_")]
    assert Registry().add_file(written(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("parameter", "says", "remedy"),
    [
        ("beta=1.0", "no type", "float"),
        ("beta: complex = 1j", "which YAML cannot say", "int, float"),
        ("beta: set[int] | None = None", "which YAML cannot say", "int, float"),
        ("beta: Unknown = 1", "not known where the plugin is imported", "float"),
        ("beta: float = print", "has the default", "None"),
        ("*beta: float", "any number of values", "parameter of its own"),
        ("**beta: float", "any number of values", "parameter of its own"),
    ],
)
def test_a_parameter_that_cannot_be_an_option_is_marked(tmp_path: Path, parameter: str, says: str, remedy: str) -> None:
    """The caret stands under the parameter, in a `def` that spans lines, too."""
    spread = GOOD.replace("self, beta: float = 1.0", f"\n        self,\n        {parameter}\n    ")
    problem, line, under = marked(tmp_path, "from __future__ import annotations\n" + spread)
    assert line.strip() == parameter
    assert under == "beta"
    assert problem.code == "plugin-parameter"
    assert says in problem.message
    assert "the layer 'Swish'" in problem.message
    assert remedy in str(problem.help)


def test_two_components_of_one_name_are_a_fault_of_the_second(tmp_path: Path) -> None:
    """Nothing of the plugin is added, and what was there stays."""
    registry = Registry()
    (first,) = registry.add_file(written(tmp_path, GOOD))
    folder = tmp_path / "other"
    folder.mkdir()
    other = written(folder, GOOD + "\n\n@layer\nclass Extra(torch.nn.Module):\n    pass\n")
    with pytest.raises(PluginFault) as caught:
        registry.add_file(other)
    problem = caught.value.problem
    assert problem.code == "plugin-name-taken"
    assert str(problem.place) == f"{other}:7:7"
    assert str(first.file) in problem.message
    assert '@layer(name="' in str(problem.help)
    assert registry.find("layer", "Swish") == first
    assert registry.find("layer", "Extra") is None


def test_a_hook_that_raises_is_a_fault_at_its_line(tmp_path: Path) -> None:
    """`annpipe_components()` is the plugin's code, too."""
    problem, line, _ = marked(tmp_path, "def annpipe_components():\n    return [1 / 0]\n")
    assert line.strip() == "return [1 / 0]"
    assert "ZeroDivisionError" in problem.message


def test_a_hook_that_describes_what_it_cannot_names_the_parameter(tmp_path: Path) -> None:
    """A signature without types needs a Typing."""
    text = "from annpipe import describe\n\n\ndef act(x):\n    pass\n\n\n"
    text += "def annpipe_components():\n    yield describe('loss', act)\n"
    problem, line, _ = marked(tmp_path, text)
    assert line == "def annpipe_components():"
    assert "'x' has no type" in problem.message


def test_a_file_that_is_not_there_is_a_fault() -> None:
    """No traceback for a mistyped path."""
    with pytest.raises(PluginFault, match="cannot be read"):
        Registry().add_file(Path("no/such/plugin.py"))


def test_an_imported_or_inherited_mark_makes_no_component(tmp_path: Path) -> None:
    """Only what the file itself marks; helpers and base classes from elsewhere stay where they are."""
    written(tmp_path, GOOD)
    text = GOOD.replace("Swish", "Marked") + "\n\nclass Child(Marked):\n    pass\n\n\nAlias = Marked\n"
    assert [entry.name for entry in Registry().add_file(written(tmp_path, text))] == ["Marked"]


def test_python_is_a_door_too() -> None:
    """A marked class, or any callable whose kind is given; `load` gives back that very object."""

    @layer(name="double")
    class Double:
        """Twice the input."""

    registry = Registry()
    assert registry.load(registry.add(Double)) is Double
    entry = registry.add(Double, name="twice")
    assert registry.find("layer", "twice") == entry
    with pytest.raises(ValueError, match="give its kind"):
        registry.add(print)


CALLBACKS = """
from annpipe import callback


class Outer:
    class Inner: ...


def fits(outline): ...


@callback(check=fits)
class Checked:
    def on_look(self, look): ...


@callback
class Plain:
    def on_look(self, look): ...
"""


def test_a_target_may_be_an_attribute_of_an_attribute(write: Write) -> None:
    """Of a module or a file."""
    assert imported("torch.nn:Linear") is torch.nn.Linear
    assert imported("torch:nn.Linear.forward") is torch.nn.Linear.forward
    assert imported(f"{write('own.py', CALLBACKS)}:Outer.Inner").__qualname__ == "Outer.Inner"


def test_what_python_gave_is_taken_as_it_is() -> None:
    """Its target need not lead anywhere."""
    component = SimpleNamespace
    assert load(Entry("layer", "own", "nowhere:Own", (), "", Origin(), loaded=component)) is component


def test_a_module_that_fails_to_import_is_a_fault(write: Write) -> None:
    """With its place."""
    path = write("own.py", "import torch\n1 / 0\n")
    with pytest.raises(PluginFault, match="ZeroDivisionError") as caught:
        imported(f"{path}:Own")
    assert caught.value.problem.place is not None
    assert caught.value.problem.place.line == 2


def test_the_function_of_a_trait_is_the_one_in_the_mark(write: Write) -> None:
    """None where the component has none."""
    registry = Registry()
    checked, plain = sorted(registry.add_file(write("own.py", CALLBACKS)), key=lambda entry: entry.name)
    function = function_of(checked, "check")
    assert function is not None
    assert function.__name__ == "fits"
    assert function_of(plain, "check") is None


def test_a_trait_may_name_its_function_by_its_own_module() -> None:
    """Which spares the import of the component."""
    traits = {"check": "math:hypot"}
    entry = Entry("callback", "own", "nowhere:Own", (), "", Origin(), traits=traits)  # type: ignore[arg-type]  # checked
    function = function_of(entry, "check")
    assert function is not None
    assert function(3, 4) == 5
