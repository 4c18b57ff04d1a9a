"""The files of a new distribution beside its components; `@WORD@` is filled in by `annpipe.scaffold.distribution`."""
