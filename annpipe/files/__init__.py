"""Files and folders of any kind: named by specs, whole or not at all, private, locked."""
