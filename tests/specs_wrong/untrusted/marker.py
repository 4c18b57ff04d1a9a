"""A plugin that must not be imported: it would leave a file behind."""

from pathlib import Path

Path(__file__).with_suffix(".imported").touch()
