"""Warnings of what a spec may say but rarely means, each at its line."""
