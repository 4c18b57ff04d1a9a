"""The exceptions of annpipe, and `Problem`: a broken rule with its place and remedy.

    AnnpipeError                 exit code 1
    ├── SpecError                exit code 3: the spec, or a plugin it lists, is wrong; carries every Problem
    ├── RunError                 exit code 1: training started and failed
    │   ├── NonFinite            the gradients or parameters became nan or infinite at a known step
    │   │   └── NonFiniteLoss    the loss did
    │   ├── OutOfMemory          there is not enough memory for it
    │   └── SplitError           the rows do not fit what `data.split` says
    ├── OptionError              a component refuses an option's value; the engine adds the place
    │   └── LimitError           it exceeds a bound for untrusted specs
    ├── StoreError               exit code 5: the tracking store cannot be reached
    ├── NotTrusted               exit code 2: code of a run folder that the user did not make, without --trust
    ├── BadRunFolder             exit code 3: a run folder with a path or link that leads out of it
    ├── DataError                exit code 3: the rows of a file do not fit the model that is to predict them
    ├── LengthError              exit code 3: a run is asked to go on to a length that it cannot have
    └── NotFound                 exit code 2: no such run, component or file as named on the command line

A mistake of the user's is always one of these; anything else that escapes is a bug in annpipe (exit code 4).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from annpipe.errors.redact import scrub

COMMAND_LINE = "--set "  # a Place whose file begins with dashes stands in the command line, which is its own excerpt


@dataclass(frozen=True, order=True)
class Place:
    """A stretch of one line of a file; `line` and `column` count from 1, in characters."""

    file: str
    line: int
    column: int
    length: int = 1

    @property
    def on_command_line(self) -> bool:
        """Whether `file` is what the command line said, not a file."""
        return self.file.startswith("--")

    def __str__(self) -> str:
        return "the command line" if self.on_command_line else f"{visible(self.file)}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One broken rule: a stable code, what was found, where, and what to do about it.

    `fix` is a word at the place and the one to write instead, where that alone is the remedy.
    """

    code: str
    message: str
    place: Place | None = None
    help: str | None = None
    related: tuple[tuple[Place, str], ...] = ()
    severity: str = "error"
    fix: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        """What a user wrote is quoted in messages: no password in it, and nothing that would steer a terminal."""
        object.__setattr__(self, "message", one_line(scrub(self.message)))
        object.__setattr__(self, "help", self.help and one_line(scrub(self.help)))

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Sorts problems as they stand in their files."""
        place = self.place or Place("", 0, 0)
        return (place.file, place.line, place.column, self.code)


MAX_PROBLEMS = 50


class Problems(list[Problem]):
    """Gathers problems, and raises them as soon as there are too many to be of use: a hostile spec has thousands."""

    def append(self, problem: Problem) -> None:
        super().append(problem)
        if len(self) >= MAX_PROBLEMS:
            raise SpecError(self)

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.append(problem)

    def __iadd__(self, problems: Iterable[Problem]) -> Self:  # type: ignore[misc, override]  # narrower than the list's own
        self.extend(problems)
        return self


class AnnpipeError(Exception):
    """The root of everything annpipe raises for a user to read."""

    exit_code = 1

    def __str__(self) -> str:
        """Its message on one line, whatever names and cells are quoted in it."""
        return one_line(scrub(super().__str__()))


class SpecError(AnnpipeError):
    """The spec is wrong; `problems` holds every independent fault, in file order."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(dict.fromkeys(problems), key=lambda problem: problem.order)
        super().__init__("\n".join(problem.message for problem in self.problems))

    def __str__(self) -> str:
        return visible(scrub(Exception.__str__(self)))


class RunError(AnnpipeError):
    """Training started and could not be finished."""


class NonFinite(RunError):
    """Something of `step` (counted from 1) was nan or infinite: going on from before it would only come there again."""

    def __init__(self, step: int, what: str, kept: str | None) -> None:
        self.step = step
        keeping = f"; the last finite checkpoint is kept in {kept}" if kept and step > 1 else ""
        remedy = "lower the learning rate (`annpipe lr` suggests one) or clip the gradients (`train: {clip_norm: 1}`)"
        if step == 1:  # no step was taken yet
            remedy = "look for nan, infinite or very large numbers in the data (`annpipe data`), then at the loss"
        super().__init__(f"{what} at step {step}{keeping}; {remedy}")


class NonFiniteLoss(NonFinite):
    """The loss of a step was nan or infinite."""

    def __init__(self, step: int, value: float, kept: str | None) -> None:
        self.value = value
        super().__init__(step, f"the loss became {value}", kept)


class OutOfMemory(RunError):
    """The memory of the machine or of its GPU was not enough; the original error is the cause."""

    def __init__(self, error: BaseException) -> None:
        reason = " ".join(str(error).split("\n")[0].split())
        asked = re.search(r"(?:ried to|nable to) allocate ([\d.]+) ([KMGT]i?B|bytes)", reason)
        size = f" for {asked[1]} {asked[2]} more" if asked else ""
        if asked and asked[2] == "bytes":
            size = f" for {int(asked[1]) / 2**30:.1f} GiB more"
        super().__init__(
            f"the memory is not enough{size}: take a smaller `batch_size` (with `accumulate` for the same step), "
            "narrower layers or fewer rows; `annpipe plan` shows what a step holds"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, NumPy, Arrow or Python means that memory was not enough."""
    words = ("DefaultCPUAllocator: can't allocate memory", "out of memory", "not enough memory: you tried to allocate")
    is_torchs = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return is_torchs or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


class OptionError(AnnpipeError):
    """A component refuses the value of `option` (a dotted path below its options)."""

    def __init__(self, option: str, message: str, *, help: str | None = None) -> None:
        self.option, self.message, self.help = option, message, help
        self.all: tuple[OptionError, ...] = (self,)
        super().__init__(f"{option}: {message}")

    @staticmethod
    def of_all(errors: Sequence[OptionError]) -> OptionError:
        """Several as one, which is the first and has every one as `all`."""
        first = OptionError(errors[0].option, errors[0].message, help=errors[0].help) if errors[1:] else errors[0]
        first.all = tuple(error for each in errors for error in each.all)
        return first


class LimitError(OptionError):
    """An option asks for more than an untrusted spec may have."""


class SplitError(RunError):
    """The rows do not fit what `data.split.<option>` says."""

    def __init__(self, option: str, message: str, help: str) -> None:
        self.option, self.message, self.help = option, message, help
        super().__init__(f"`data.split.{option}`: {message}; {help}")


class StoreError(AnnpipeError):
    """The tracking store cannot be reached or used; what a server said may have several lines."""

    exit_code = 5

    def __str__(self) -> str:
        return visible(scrub(Exception.__str__(self)))


class DataError(AnnpipeError):
    """The rows of a file do not fit a trained model."""

    exit_code = 3

    def __init__(self, message: str, help: str) -> None:
        self.help = help
        super().__init__(f"{message}; {help}")


class LengthError(AnnpipeError):
    """A run is asked to go on to a length that it has already, or to one in another unit."""

    exit_code = 3


class NotTrusted(AnnpipeError):
    """A run folder holds code that would be run, and is not known as the user's own."""

    exit_code = 2


class BadRunFolder(AnnpipeError):
    """A run folder names a path outside itself, or holds a link out of it, a pipe or a device."""

    exit_code = 3


class NotFound(AnnpipeError):
    """Something named on the command line does not exist."""

    exit_code = 2


def visible(text: str) -> str:
    r"""The text with each character that a terminal would obey instead of showing escaped, as JSON writes it.

    Tabulators and line breaks stay; see `one_line`. What is escaped once stays as it is.

    >>> print(visible("red\x1b[31m"))
    red\u001b[31m
    """
    return text if text.isprintable() else "".join(_escape(char) if _steers(char) else char for char in text)


def one_line(text: str) -> str:
    r"""The same of a name, a word or a cell, which is to stay on its line: line breaks and tabulators are escaped too.

    >>> print(one_line("two\nlines"))
    two\nlines
    """
    return text if text.isprintable() else visible(text).replace("\n", "\\n").replace("\t", "\\t")


def steering(text: str, *, lines: bool = False) -> str | None:
    """The first character of a text that would be obeyed or hidden; with `lines`, line breaks and tabulators may be."""
    if text.isprintable():
        return None
    return next((char for char in text if _steers(char) or (char in "\t\n" and not lines)), None)


def _steers(char: str) -> bool:
    is_none = ord(char) & 0xFFFE == 0xFFFE  # U+FFFE and its like are no characters, and no XML may have them
    return is_none or (char not in "\t\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"))


def _escape(char: str) -> str:
    r"""`\u001b`; beyond the first 65,536 characters the two halves of UTF-16, so that JSON stays JSON."""
    if char == "\r":
        return "\\r"
    halves = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[n] << 8 | halves[n + 1]:04x}" for n in range(0, len(halves), 2))
