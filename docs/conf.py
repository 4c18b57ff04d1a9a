"""Settings of the documentation site; `sphinx-build -W -n docs build/site` builds it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the package `docs.site_builder` is found

project = "annpipe"
author = "The annpipe authors"
version = release = version_of("annpipe")

extensions = ["myst_parser", "docs.site_builder.extension"]
exclude_patterns = ["site_builder"]
nitpicky = True
smartquotes = False  # which would make a dash of the -- of an option
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "annpipe"
html_static_path = ["site_builder/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
