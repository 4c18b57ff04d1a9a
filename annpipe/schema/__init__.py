"""Registry → JSON Schema: what an editor must know to complete, explain and check a spec while it is written."""

from annpipe.schema.root import spec_schema
from annpipe.schema.text import as_text

__all__ = ["as_text", "spec_schema"]
