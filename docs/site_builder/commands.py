"""The reference of the command line, from the click commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from annpipe.cli import annpipe
from docs.site_builder.markdown import escaped

HEAD = """# The command line

Every command also has `--help`. Results go to stdout, everything else to stderr. The
[README](../project/readme.md#the-commands) has the exit codes.
"""


def page() -> str:
    """The page of all commands, groups with the commands in them."""
    context = click.Context(annpipe, info_name="annpipe")
    return "\n".join([HEAD, *_sections(annpipe, context)])


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inside = click.Context(command, info_name=name, parent=context)
        yield _section(command, inside)
        if isinstance(command, click.Group):
            yield from _sections(command, inside)


def _section(command: click.Command, context: click.Context) -> str:
    """What a command does, how it is called, and its options."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    help_ = " ".join((command.help or "").split())
    records = [
        record
        for parameter in command.get_params(context)
        if "--help" not in parameter.opts and (record := parameter.get_help_record(context)) and record[1]
    ]
    options = "\n".join(f"`{names}`\n: {escaped(about)}\n" for names, about in records)
    return f"## {context.command_path}\n\n{escaped(help_)}\n\n```text\n{usage}\n```\n\n{options}"
