"""Draft + data → Plan: shapes run, components tried, everything checked that needs torch; still only data."""
