"""Names that a stranger may write where a spec names a file, and what stands there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

SECRET = "nobody-may-read-this"
HUGE = 200 * 2**20  # bytes, none of them on the disk


def laid_out(root: Path) -> Path:
    """The folder `strange` of a stranger's spec below `root`, a secret beside it, and everything that is odd in it."""
    outside, folder = root / "outside", root / "strange"
    for one in (outside, folder, folder / "linked", folder / "empty"):
        one.mkdir()
    (outside / "secret.csv").write_text(f"x,y\n1,{SECRET}\n2,{SECRET}\n")
    (folder / "link.csv").symlink_to(outside / "secret.csv")
    (folder / "away").symlink_to(outside)
    (folder / "linked" / "more.csv").symlink_to(outside / "secret.csv")
    (folder / "circle").symlink_to("circle")
    (folder / "ring").symlink_to("ring2"), (folder / "ring2").symlink_to("ring")
    (folder / "dangling.csv").symlink_to("nothing.csv")
    os.mkfifo(folder / "pipe")
    (folder / "pipelink").symlink_to("pipe")
    _socket(folder / "socket")
    with (folder / "huge").open("wb") as file:
        file.truncate(HUGE)
    return folder


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


OUTSIDE = {
    "an absolute path": "/etc/passwd",
    "a file of the process": "/proc/self/environ",
    "a folder up": "../outside/secret.csv",
    "up and down": "empty/../../outside/secret.csv",
    "a link to a file": "link.csv",
    "a link to a folder": "away/secret.csv",
    "a pattern outside": "../outside/*.csv",
    "a pattern that meets a link to a file": "linked/*.csv",
    "a pattern through a link to a folder": "away/*.csv",
    "a pattern of folders": "*/secret.csv",
    "a pattern of all folders": "**/secret.csv",
    "the home": "~/secret.csv",
}
ODD = {
    "a pipe": "pipe",
    "a link to a pipe": "pipelink",
    "a pattern that meets a pipe": "pip[e]",
    "a socket": "socket",
    "an endless device": "/dev/zero",
    "a device": "/dev/tty",
    "a folder": "empty",
    "a NUL": '"nu\\0ll.csv"',
    "5,000 characters": "x" * 5000,
    "5,000 characters in folders": "abc/" * 1250 + "x.csv",
    "a long name": "x" * 300,
    "a link to itself": "circle",
    "a file in a link to itself": "circle/x.csv",
    "two links in a circle": "ring/x.csv",
    "a pattern in a circle": "circle/*.csv",
    "a link to nothing": "dangling.csv",
    "nothing": "nothing.csv",
    "a pattern of nothing": "*.nothing",
    "a name of blanks": '"  "',
    "a bad pattern": '"[a-"',
}
