"""Plan → one readable file of plain PyTorch that trains the same run without annpipe."""
