"""Sphinx: builds with no network; every warning is an error (scripts/test)."""

from __future__ import annotations

from docutils.nodes import Element, SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

import scanmend

project = "scanmend"
author = "The scanmend developers"
copyright = "2026, The scanmend developers"
release = scanmend.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"scanmend {release}"
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 2
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
html_math_renderer = "mathml"


def setup(app: Sphinx) -> None:
    """Formulas as MathML, which browsers draw themselves: MathJax would come from the network."""

    def inline(writer: HTML5Translator, node: Element) -> None:
        writer.body.append(tex2mathml(node.astext()))
        raise SkipNode

    def block(writer: HTML5Translator, node: Element) -> None:
        writer.body.append(tex2mathml(node.astext(), as_block=True))
        raise SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
