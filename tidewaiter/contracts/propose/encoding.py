"""Guessing the encoding of a sample: by its script, and within one script by whose file it is."""

from __future__ import annotations

import codecs
import re

# One encoding for each script: a few accents cannot tell Windows-1250 from 1252.
_LIKELY_ENCODINGS = ("cp1252", "cp1251", "cp1253", "cp1256", "gb18030", "shift_jis", "euc_kr")
_WEST, _ASCII_AND_LATIN = "cp1252", "latin-1"
# Members whose languages are written in Latin letters that Windows-1252 does not have.
_OTHER_LATIN = {
    "cp1250": ("AL", "BA", "CZ", "HR", "HU", "ME", "PL", "RO", "RS", "SI", "SK"),
    "cp1254": ("AZ", "TR"),
    "cp1257": ("EE", "LT", "LV"),
}
_ISO_CENTRAL = "iso8859-2"
# Letters of Polish, Czech and Slovak that stand elsewhere in Windows-1250, where these are signs.
_ISO_CENTRAL_LETTER = re.compile(rb"(?<=[a-zA-Z])[\xa1\xa6\xac\xb1\xb6\xbc](?=[a-zA-Z])")


def guess_encoding(head: bytes, member_iso2: str = "") -> tuple[str, str]:
    """Return the encoding of a text and why.

    Args:
        head: Its first bytes.
        member_iso2: Whose it is.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "byte-order mark"
    if _is_utf8(head):
        return "utf-8", "decodes as such"
    from charset_normalizer import from_bytes

    best = from_bytes(head, cp_isolation=list(_LIKELY_ENCODINGS), threshold=0.5).best()
    found = best.encoding.replace("_", "-") if best else _ASCII_AND_LATIN
    # Windows-1252 and Latin-1 are the same where none of the 27 added signs occurs.
    has_added_signs = any(0x80 <= byte <= 0x9F for byte in head)
    if found in (_WEST, _ASCII_AND_LATIN):
        for encoding, members in _OTHER_LATIN.items():
            if member_iso2 in members:
                is_iso = encoding == "cp1250" and not has_added_signs and _ISO_CENTRAL_LETTER.search(head)
                return (_ISO_CENTRAL if is_iso else encoding), "usual in that country; look at the accents"
    is_latin = found == _WEST and not has_added_signs
    return (_ASCII_AND_LATIN if is_latin else found), "most likely by its letters; look at the accents"


def _is_utf8(head: bytes) -> bool:
    try:
        # A character may be cut where the sample ends.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
