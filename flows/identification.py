"""Who is behind a pseudonym: needs the member's key and a second person, and leaves a record."""

from __future__ import annotations

import getpass
from collections.abc import Iterable

from flows.access import record_access, require_purpose
from tidewaiter.errors import Problem, UsageProblem
from tidewaiter.pseudonyms import load_pseudonymiser, parties
from tidewaiter.settings import Settings


def identify(
    settings: Settings,
    member: str,
    entity_id: str,
    candidates: Iterable[str],
    purpose: str | None,
    approved_by: str,
) -> str | None:
    """Return who of the candidates is behind a pseudonym, or None.

    A pseudonym cannot be turned back. Who holds the key can make the pseudonym of everybody on a list, such
    as the register of officers, and compare. The attempt goes on record, whether or not it succeeds; the
    identifier does not.

    Raises:
        UsageProblem: No purpose, no second person, no candidates.
    """
    words = require_purpose(purpose)
    user = getpass.getuser()
    if not approved_by.strip() or approved_by.strip().lower() == user.lower():
        raise UsageProblem(
            Problem(
                "a second person has to approve this", expected=f"--approved-by somebody other than {user}"
            )
        )
    names = sorted({name.strip() for name in candidates if name.strip()})
    if not names:
        raise UsageProblem(
            Problem(
                "there are no candidates",
                expected="one identifier per line, such as the register of officers",
            )
        )
    pseudonymiser = load_pseudonymiser(settings.paths).before_erasures()
    found = None
    for party in parties():
        for name, pseudonym in zip(names, pseudonymiser.pseudonymise(member, party, names), strict=True):
            if pseudonym == entity_id:
                found = name
    record_access(
        settings,
        "identify",
        words,
        member,
        [entity_id],
        approved_by=approved_by.strip(),
        key_id=pseudonymiser.key_id,
        candidates_n=len(names),
        was_found=found is not None,
    )
    return found
