"""What `test_structure.py` still lets be. Entries that are mended must go: `python -m tests.structure`."""

QUESTIONS: tuple[str, ...] = ()
DEFINED_TWICE: tuple[str, ...] = ()
BANNED_IDENTIFIERS: tuple[str, ...] = (
    "annpipe/cli/commands/schema.py: place",
    "annpipe/runs/provenance.py: found",
    "annpipe/runs/provenance.py: one",
    "annpipe/sweep/figures/curves.py: place",
    "annpipe/sweep/figures/page.py: laid_out",
)
