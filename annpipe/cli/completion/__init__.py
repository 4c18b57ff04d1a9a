"""Shell completion: words of the command line, components, and paths for `--set`."""
