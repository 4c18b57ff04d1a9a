"""What a file seems to be, found without a spec: how it is written, and what its columns are."""
