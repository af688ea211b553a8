"""The generated reference pages say what their sources say."""

from __future__ import annotations

import pytest

from flows import reference


@pytest.mark.parametrize(
    "name", ["tables.md", "canonical.md", "contract.md", "settings.md", "commands.md", "indicators.md"]
)
def test_page_is_up_to_date(name):
    committed = (reference.REFERENCE / name).read_text(encoding="utf-8")
    assert committed == reference.pages()[name], "run `make docs` and commit the pages"


def test_every_published_table_has_a_section():
    from flows.publish import TABLES

    page = reference.tables_page()
    for schema, table in TABLES:
        assert f"## `{schema}.{table}`" in page
