"""Data Docs that load nothing from elsewhere: Great Expectations' renderers, our page templates.

Imports Great Expectations; import it inside functions only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from great_expectations.render.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2 import ChoiceLoader, FileSystemLoader

_TEMPLATES = Path(__file__).resolve().parent / "data_docs"


def _ours_first(view: Any) -> None:
    # Great Expectations looks into custom folders last, so a template of the same name never wins.
    view.env.loader = ChoiceLoader([FileSystemLoader(_TEMPLATES), view.env.loader])


class PageView(DefaultJinjaPageView):  # type: ignore[misc]
    """A page of one suite or one validation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _ours_first(self)


class IndexPageView(DefaultJinjaIndexPageView):  # type: ignore[misc]
    """The index of the site."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _ours_first(self)


def site_configuration(folder: Path) -> dict[str, Any]:
    """Return Great Expectations' configuration of a site in `folder`."""
    view = {"module_name": __name__, "class_name": "PageView"}
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {
            "class_name": "DefaultSiteIndexBuilder",
            "view": {"module_name": __name__, "class_name": "IndexPageView"},
        },
        "site_section_builders": {
            "expectations": {"view": view},
            "validations": {"view": view},
            "profiling": "None",  # the text: that is how Great Expectations spells "off"
        },
    }
