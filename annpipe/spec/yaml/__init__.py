"""YAML text → nodes with their places; and explanations of text that is not such YAML."""
