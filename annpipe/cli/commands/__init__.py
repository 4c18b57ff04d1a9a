"""The commands, one module each, imported only when that command is called."""
