"""What `annpipe doctor` finds out: whether this machine, the store, the plugins and the project are in order."""
