"""How Sphinx makes the site of the documents; tools/build_docs_site.py calls it."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "Bennu"
extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "Bennu"
html_copy_source = False
# Summaries would be fetched page by page, which browsers refuse where the site lies in files.
html_show_search_summary = False
html_show_sphinx = False
html_show_copyright = False
# Anchors as a viewer of plain Markdown makes them, so that links hold in both.
myst_heading_anchors = 4
myst_enable_extensions: list[str] = []
nitpicky = True
#: Named for the tests of samples; no lexer of that name exists.
_LEXERS = {"env": TextLexer, "caddyfile": TextLexer}


def setup(app: Sphinx) -> None:
    """Teach Sphinx the kinds of samples that it does not know."""
    for name, lexer in _LEXERS.items():
        app.add_lexer(name, lexer)
