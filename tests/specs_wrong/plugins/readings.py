"""Data whose source is not there."""

from annpipe import Dataset, data


@data
def readings(*, rows: int) -> Dataset:
    """Reads rows from a sensor."""
    raise RuntimeError(f"the sensor gave none of {rows} rows")
