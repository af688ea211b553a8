"""Code maps of contracts: named lists of codes, and CSV files beside the contract.

Both become the same thing as codes written in the contract: source spelling to canonical value.
"""

from __future__ import annotations

import csv
import gettext
import io
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tidewaiter.canonical import load_dataset
from tidewaiter.contracts.strict import inside
from tidewaiter.errors import closest

Codes = dict[str, str | int | float | bool | None]

CSV_COLUMNS = ("source", "canonical")
# A code map is looked up row by row; a longer table is reference data, not spelling.
_MOST_ENTRIES = 20_000

# What editions of the Harmonized System are called; H0 to H6 after UN Comtrade.
_HS_EDITIONS = {
    1988: "H0",
    1992: "H0",
    1996: "H1",
    2002: "H2",
    2007: "H3",
    2012: "H4",
    2017: "H5",
    2022: "H6",
}
# Languages of the names in `country_names`, and names that the standard does not have.
_NAME_LANGUAGES = ("en", "es", "fr", "pt")
_OTHER_NAMES = {
    "CZ": ("Czech Republic",),
    "GB": ("Great Britain", "Gran Bretaña", "Grande-Bretagne", "Grã-Bretanha", "Inglaterra"),
    "NL": ("Holland", "Holanda"),
    "RU": ("Russia", "Rusia", "Russie", "Rússia"),
    "TR": ("Turkey",),
    "US": ("USA", "U.S.A.", "EE.UU.", "EE. UU.", "EEUU", "EUA"),
}
# Incoterms as the trade also writes them.
_INCOTERM_SPELLINGS = {"C&F": "CFR", "CNF": "CFR", "C+F": "CFR", "CAF": "CIF", "FOT": "FCA", "FOR": "FCA"}


@cache
def _countries(attribute: str) -> dict[str, str]:
    import pycountry

    return {getattr(country, attribute): country.alpha_2 for country in pycountry.countries}


def _iso3166_alpha3() -> Codes:
    listed: Codes = {**_countries("alpha_3")}
    return listed


def _iso3166_numeric() -> Codes:
    listed = _countries("numeric")
    # A source that keeps them as numbers has lost the leading zeros.
    return {**{code.lstrip("0"): country for code, country in listed.items()}, **listed}


def _country_names() -> Codes:
    """Return names of countries to alpha-2, in the spellings that exports use.

    A name that may mean two countries, such as Korea, is left out.
    """
    import pycountry

    found = {
        spelling: {code}
        for code, names in _OTHER_NAMES.items()
        for name in names
        for spelling in _spellings(name)
    }
    for language in _NAME_LANGUAGES:
        translated = gettext.translation(
            "iso3166-1", pycountry.LOCALES_DIR, [language], fallback=language == "en"
        ).gettext
        for country in pycountry.countries:
            for kind in ("name", "common_name", "official_name"):
                if name := getattr(country, kind, None):
                    whole = translated(name)
                    # Also without what follows a comma, as in "Bolivia, Plurinational State of".
                    for spelling in _spellings(whole) | _spellings(whole.partition(",")[0]):
                        found.setdefault(spelling, set()).add(country.alpha_2)
    return {name: codes.pop() for name, codes in found.items() if len(codes) == 1}


def _spellings(name: str) -> set[str]:
    """Return a name as it stands, without its accents, and both in capitals."""
    decomposed = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return {name, plain, name.upper(), plain.upper()}


def _hs_edition() -> Codes:
    spelt: Codes = {edition: edition for edition in _HS_EDITIONS.values()}
    for year, edition in _HS_EDITIONS.items():
        spelt |= {f"{prefix}{year}": edition for prefix in ("", "HS", "HS ")}
    return spelt


def _incoterms() -> Codes:
    terms = load_dataset("declaration_items").field("incoterm_code").code_list or ()
    return {**{term: term for term in terms}, **_INCOTERM_SPELLINGS}


# Name to (what it holds, how it is made); the reference page prints the former.
CODE_LISTS: dict[str, tuple[str, Callable[[], Codes]]] = {
    "iso3166_alpha3": ("ISO 3166-1 alpha-3 country codes to alpha-2", _iso3166_alpha3),
    "iso3166_numeric": (
        "ISO 3166-1 numeric country codes to alpha-2, with and without leading zeros",
        _iso3166_numeric,
    ),
    "country_names": (
        "names of countries in English, Spanish, French and Portuguese to alpha-2, also in capitals and"
        " without accents",
        _country_names,
    ),
    "hs_edition": (
        "editions of the Harmonized System, such as `2017`, `HS2017`, `H5`, to `H0` to `H6`",
        _hs_edition,
    ),
    "incoterms": ("Incoterms, with spellings of the trade such as `C&F`", _incoterms),
}


def merge_codes(
    codes: Mapping[str, str | int | float | bool | None] | None,
    codes_list: str | None,
    codes_file: str | None,
    folder: Path | None,
) -> Codes:
    """Return one code map: what the contract writes goes before its file, and that before its list.

    Args:
        codes: Codes written in the contract.
        codes_list: Name of a built-in list.
        codes_file: CSV file below the member's folder.
        folder: The member's folder, in which the file lies.

    Raises:
        ValueError: There is no such list, or the file cannot be used; says everything that is wrong.
    """
    merged: Codes = {}
    if codes_list is not None:
        merged |= listed_codes(codes_list)
    if codes_file is not None:
        if folder is None:
            raise ValueError("codes_file: the contract's folder is not known here")
        merged |= read_codes(folder, codes_file)
    return merged | dict(codes or {})


def listed_codes(name: str) -> Codes:
    """Return the built-in list of that name. Raises ValueError where there is none."""
    if name not in CODE_LISTS:
        raise ValueError(
            f"codes_list: there is no '{name}'{closest(name, CODE_LISTS)}; there are {', '.join(CODE_LISTS)}"
        )
    return CODE_LISTS[name][1]()


def read_codes(folder: Path, name: str) -> Codes:
    """Return the code map of a CSV file: columns `source` and `canonical`; others are for people.

    A source spelling whose canonical cell is empty means "no value".

    Raises:
        ValueError: The file is not below the folder, not there, not such a CSV, or says two things of
            one spelling.
    """
    path = folder / inside(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"codes_file: '{name}' leads out of the member's folder")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"codes_file: there is no {path}") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"codes_file: {path} cannot be read as UTF-8 text: {error}") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if not set(CSV_COLUMNS) <= set(rows.fieldnames or ()):
        raise ValueError(f"codes_file: {path} needs the columns {' and '.join(CSV_COLUMNS)}")
    return _collect(path, rows)


def _collect(path: Path, rows: csv.DictReader[str]) -> Codes:
    found: Codes = {}
    problems = []
    try:
        for row in rows:
            source, canonical = ((row[column] or "").strip() for column in CSV_COLUMNS)
            value = canonical or None
            if not source and not canonical:
                continue
            if found.setdefault(source, value) != value:
                problems.append(
                    f"line {rows.line_num} says '{canonical}' of '{source}', after '{found[source]}'"
                )
    except csv.Error as error:
        raise ValueError(f"codes_file: {path}, line {rows.line_num}: {error}") from None
    if len(found) > _MOST_ENTRIES:
        problems.append(f"{len(found)} codes, expected at most {_MOST_ENTRIES}")
    if problems:
        raise ValueError(f"codes_file: {path}: {'; '.join(problems)}")
    return found
