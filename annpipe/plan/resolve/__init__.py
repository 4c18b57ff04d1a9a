"""Draft → Plan: the checks that need torch, once every name and option is right."""
