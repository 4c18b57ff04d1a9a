"""`annpipe explain CODE`: explains what the code in `error[CODE]` means, and how to correct the spec."""

from __future__ import annotations

from importlib.resources import files

import click

from annpipe.cli.completion import words
from annpipe.errors import NotFound


@click.command("explain")
@click.argument("code", required=False, shell_complete=words.codes)
def command(code: str | None) -> None:
    """Explain the CODE of an error or a warning, with a wrong and a right example; without CODE, list all."""
    known = pages()
    if code is None:
        click.echo("\n".join(_rows(known)))
    else:
        click.echo(_page(known, code).strip())


def pages() -> dict[str, str]:
    """Every page by its code, in alphabetical order; each is Markdown."""
    folder = files("annpipe").joinpath("explanations").iterdir()
    texts = {page.name.removesuffix(".md"): page for page in folder if page.name.endswith(".md")}
    return {code: texts[code].read_text(encoding="utf-8") for code in sorted(texts)}


def _page(known: dict[str, str], code: str) -> str:
    plain = (
        code.strip().removeprefix("error").removeprefix("warning").strip("[]:").casefold()
    )  # as copied from a report
    if plain not in known:
        from annpipe.errors.suggest import did_you_mean

        hint = did_you_mean(plain, known) or "`annpipe explain` lists all"
        raise NotFound(f"there is no code '{code}': {hint}")
    return known[plain]


def _rows(known: dict[str, str]) -> list[str]:
    """A line a code: its name, and the first line under its page's heading."""
    width = max(map(len, known), default=0)
    return [f"{code:<{width}}  {text.splitlines()[2]}" for code, text in known.items()]
