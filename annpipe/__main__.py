"""`python -m annpipe` is `annpipe`."""

from annpipe.cli import main

main()
