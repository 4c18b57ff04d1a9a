"""A spec made of several texts: `extends`, overrides of the command line, variables."""
