"""Fixed width: columns by place, lines by number, and no line lost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tidewaiter.errors import TidewaiterError

WIDTHS = {"id": 4, "item": 2, "registered": 10, "office": 6, "hs": 6, "importer": 5, "value": 8}


def fixed(**more):
    columns = [{"name": name, "width": width} for name, width in WIDTHS.items()]
    return {"kind": "fixed_width", "columns": columns} | more


def line(key: str, office: str = "S01", value: str = "1", **more: str) -> str:
    values = {"id": key, "item": "1", "registered": "2024-03-01", "office": office, "hs": "010121"}
    values |= {"importer": "Acme", "value": value} | more
    return "".join(values[name].ljust(width) for name, width in WIDTHS.items())


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp437", "utf-16"])
def test_encodings_and_line_ends(bench, contract_of, line_end, encoding):
    text = line_end.join(["HEAD", line("A1", "Évora"), line("A2"), ""])
    landed = bench.land(text.encode(encoding), contract_of(format=fixed(encoding=encoding, header_lines=1)))
    assert landed.column("office_code") == ["Évora", "S01"]
    assert landed.column("source_line") == [2, 3]


def test_short_long_broken_and_blank_lines_are_accounted_for(bench, contract_of):
    lines = [line("A1"), "A2", "", line("A3") + "x", line("A4"), line("A5", "\ufffd"), line("A6", value="x")]
    content = "\n".join(lines).encode().replace("\ufffd".encode(), b"\xff")
    landed = bench.land(content, contract_of(format=fixed(record_length=sum(WIDTHS.values()))))
    assert landed.column("source_line") == [1, 5]
    assert landed.reasons == {
        2: ["the line has 2 characters, a record has 41"],
        4: ["the line has 42 characters, a record has 41"],
        6: ["the line has bytes that are not of the file's encoding"],
        7: ["declared_value: 'x' is not a decimal number"],
    }
    assert landed.receipt.reasons["the line is too short"] == 1
    assert landed.receipt.rows_in == 6


def test_lines_whose_blanks_were_cut_off_may_be_padded(bench, contract_of):
    text = "\n".join([line("A1").rstrip(), line("A2")])
    rejected = bench.land(text, contract_of(format=fixed()))
    assert rejected.reasons == {1: ["the line has 34 characters, the last column ends at 41"]}
    padded = bench.land(text, contract_of(format=fixed(short_lines="pad")))
    assert padded.column("source_line") == [1, 2]


def test_a_place_counts_characters_and_not_bytes(bench, contract_of):
    landed = bench.land(line("A1", "東京東京東京") + "\n" + line("A2"), contract_of(format=fixed()))
    assert landed.column("office_code") == ["東京東京東京", "S01"]


def test_hostile_lines_are_text(bench, contract_of):
    lines = [line("A1", "=cmd|'"), line("A2", "a\0b"), line("A3", "'; --"), line("A4") + "x" * 10_000_000]
    landed = bench.land("\ufeff" + "\n".join(lines), contract_of(format=fixed()))
    assert landed.column("office_code") == ["=cmd|'", "a\0b", "'; --", "S01"]
    assert landed.column("declaration_id") == ["A1", "A2", "A3", "A4"]


def test_many_lines_are_all_there(bench, contract_of):
    numbers = range(200_000)  # several chunks of bytes
    wide = fixed() | {"columns": [{"name": "id", "width": 8}, *fixed()["columns"][1:]]}
    text = "".join(f"{number:08}{line('')[4:]}\n" for number in numbers)
    landed = bench.land(text, contract_of(format=wide))
    assert landed.receipt.rows_landed == len(numbers)
    assert landed.column("declaration_id") == [f"{number:08}" for number in numbers]
    assert landed.column("source_line") == [number + 1 for number in numbers]


def test_an_empty_file_and_a_missing_column_are_told(bench, contract_of):
    with pytest.raises(TidewaiterError, match="the file is empty"):
        bench.land("", contract_of(format=fixed()))
    with pytest.raises(TidewaiterError, match="'net' is missing"):
        bench.land(line("A1"), contract_of({"net_kg": {"column": "net"}}, format=fixed()))


def test_signs_in_the_last_digit_are_read_as_the_how_to_says(bench, contract_of):
    page = (Path(__file__).parents[3] / "docs/how-to/map-headers-and-versions.md").read_text("utf-8")
    value = yaml.safe_load(page.split("mainframes\n\n```yaml\n")[1].partition("```")[0])["declared_value"]
    value["expression"] = value["expression"].replace("VALOR", "value")
    lines = [line("A1", value="0001234{"), line("A2", value="0001234E"), line("A3", value="0001234M")]
    landed = bench.land("\n".join(lines), contract_of({"declared_value": value}, format=fixed()))
    assert landed.column("declared_value") == [Decimal("123.40"), Decimal("123.45")]
    assert landed.reasons == {3: ["declared_value: '-00012344' is below the minimum 0"]}
