"""E1, communities: do sets of parties and officers meet more than the draw of files explains?

Files are drawn to officers within strata (office, queue, duty day, shift), and so are overrides over the
red declarations of an office and month. Edges of the bipartite graph are the counts beyond expectation,
sum over strata of n_party * n_officer / n; the Leiden algorithm (Traag, Waltman and van Eck 2019) groups
them. A set's score is the Poisson likelihood ratio of its edges (as in Kulldorff's scan, 1997), compared
with the largest score that any set has when officers are shuffled within the same strata. Degrees and
strata are kept exactly, and the largest set of each shuffle makes the p-value hold for all sets of the
graph together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from ml.integrity.catalogue import Entry
from ml.integrity.inputs import Inputs
from ml.integrity.signals import no_rows, raw_table
from tidewaiter import fingerprint
from tidewaiter.warehouse import quote_literal

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_Z = 2.0  # edges below are what chance makes by the thousand
_LEAST_FILES = 3
_RESOLUTION = 1.0
_SMALLEST_P = 1e-6
_ENOUGH_HITS = 10


@dataclass(frozen=True)
class Files:
    """Files that were drawn to officers.

    Attributes:
        stratum: Files among which the draw was even; ascending.
        party: Who stands on the file, one column for each role (broker, importer); -1 for nobody.
        officer: Who got it; -1 where nobody did, which keeps its place in the shuffle.
        parties: How many parties there are, over all roles.
        officers: How many officers there are.
    """

    stratum: Integers
    party: Integers
    officer: Integers
    parties: int
    officers: int

    def counts(self, officer: Integers) -> Integers:
        """Return how often each party met each officer, by party * officers + officer."""
        pairs = self.party * self.officers + officer[:, None]
        met = (self.party >= 0) & (officer >= 0)[:, None]
        return np.bincount(pairs[met], minlength=self.parties * self.officers)


@dataclass(frozen=True)
class Edges:
    """Pairs with their count, expectation and variance under the even draw."""

    party: Integers
    officer: Integers
    observed: Floats
    expected: Floats
    variance: Floats

    @property
    def excess(self) -> Floats:
        """Files beyond expectation."""
        return self.observed - self.expected

    @property
    def z(self) -> Floats:
        """Excess over its standard deviation, half a file taken off for continuity."""
        deviation = np.sqrt(np.maximum(self.variance, 1e-12))
        found: Floats = (self.excess - 0.5) / deviation
        return found


@dataclass(frozen=True)
class Communities:
    """Sets that were found.

    Attributes:
        party_set, officer_set: Set of each; -1 for none.
        score: Log-likelihood ratio of each set's edges against the even draw.
        observed, expected: Files on the edges within each set.
        p_value: That the even draw makes a set with so much excess anywhere in the graph.
    """

    party_set: Integers
    officer_set: Integers
    score: Floats
    observed: Floats
    expected: Floats
    p_value: Floats


def excess_edges(files: Files) -> Edges:
    """Return the pairs of a party and an officer that share a stratum and met at least once.

    Expectation and variance are those of the hypergeometric draw within strata, summed.
    """
    cells = _expectations(files)
    return _edges(files, files.officer, cells, least_files=1, least_z=-np.inf)


@dataclass(frozen=True)
class _Cells:
    key: Integers
    expected: Floats
    variance: Floats


def _expectations(files: Files) -> _Cells:
    """Return expectation and variance of every pair that shares a stratum; the shuffle leaves them."""
    strata = int(files.stratum.max()) + 1 if files.stratum.size else 0
    size = np.bincount(files.stratum, minlength=strata).astype(np.float64)
    row, role = np.nonzero(files.party >= 0)
    party_key, party_n = np.unique(
        files.stratum[row] * files.parties + files.party[row, role], return_counts=True
    )
    met = files.officer >= 0
    officer_key, officer_n = np.unique(
        files.stratum[met] * files.officers + files.officer[met], return_counts=True
    )
    of_party, of_officer = party_key // files.parties, officer_key // files.officers
    per_stratum = np.bincount(of_officer, minlength=strata)
    first = np.cumsum(per_stratum) - per_stratum
    repeats = per_stratum[of_party]
    left = np.repeat(np.arange(of_party.size), repeats)
    right = first[of_party[left]] + (np.arange(left.size) - np.repeat(np.cumsum(repeats) - repeats, repeats))
    n, share = size[of_party[left]], officer_n[right] / size[of_party[left]]
    expected = party_n[left] * share
    variance = expected * (1 - share) * (n - party_n[left]) / np.maximum(n - 1, 1)
    pair = party_key[left] % files.parties * files.officers + officer_key[right] % files.officers
    key, place = np.unique(pair, return_inverse=True)
    place = place.reshape(-1)
    return _Cells(key, *(np.bincount(place, one).astype(np.float64) for one in (expected, variance)))


def shuffle_within(stratum: Integers, random: np.random.Generator) -> Integers:
    """Return a permutation of positions that moves each within its stratum; `stratum` ascending."""
    return np.argsort(stratum + random.random(stratum.size), kind="stable")


def find_communities(files: Files, random: np.random.Generator, shuffles: int = 199) -> Communities:
    """Find sets and judge each against the largest of every shuffle.

    Args:
        files: Sorted by stratum.
        random: Seeded.
        shuffles: The least p-value is 1 / (shuffles + 1).
    """
    cells = _expectations(files)
    edges = _edges(files, files.officer, cells)
    party_set, officer_set = _leiden(edges, files)
    observed, expected, score = _within(edges, party_set, officer_set)
    largest: list[float] = []
    # A graph whose best set is nothing special is left after a few shuffles (Besag and Clifford 1991).
    while len(largest) < shuffles and sum(one >= score.max(initial=0.0) for one in largest) < _ENOUGH_HITS:
        shuffled = _edges(files, files.officer[shuffle_within(files.stratum, random)], cells)
        largest.append(float(_within(shuffled, *_leiden(shuffled, files))[2].max(initial=0.0)))
    p_value = _p_values(score, np.asarray(largest))
    return Communities(party_set, officer_set, score, observed, expected, p_value)


def _p_values(score: Floats, largest: Floats) -> Floats:
    """Return P(the largest score of a shuffle is at least `score`), beyond all shuffles by Gumbel's law.

    Maxima of scans follow it closely enough (Abrams, Kleinman and Kulldorff 2010); it is fitted by moments
    and used only where no shuffle comes near, and never below what it can be trusted with.
    """
    hits = largest.size - np.searchsorted(np.sort(largest), score - 1e-9, side="left")
    simulated = (1 + hits) / (1 + largest.size)
    deviation = float(largest.std(ddof=1)) if largest.size > 1 else 0.0
    if deviation <= 0:
        return simulated
    scale = deviation * np.sqrt(6) / np.pi
    tail = stats.gumbel_r.sf(score, largest.mean() - np.euler_gamma * scale, scale)
    return np.where(hits == 0, np.clip(tail, _SMALLEST_P, simulated), simulated)


def _edges(
    files: Files, officer: Integers, cells: _Cells, least_files: int = _LEAST_FILES, least_z: float = LEAST_Z
) -> Edges:
    """Return the edges worth keeping: met often enough and clearly beyond expectation."""
    observed = files.counts(officer)[cells.key]
    # Most pairs met once or never, and are out before anything is computed of them.
    often = np.flatnonzero(observed >= least_files)
    key = cells.key[often]
    edges = Edges(
        key // files.officers,
        key % files.officers,
        observed[often].astype(np.float64),
        cells.expected[often],
        cells.variance[often],
    )
    kept = edges.z >= least_z
    return Edges(
        edges.party[kept],
        edges.officer[kept],
        edges.observed[kept],
        edges.expected[kept],
        edges.variance[kept],
    )


def _leiden(edges: Edges, files: Files) -> tuple[Integers, Integers]:
    """Return the set of each party and officer; -1 for who has no edge."""
    from scipy import sparse
    from sknetwork.clustering import Leiden

    party_set = np.full(files.parties, -1, dtype=np.int64)
    officer_set = np.full(files.officers, -1, dtype=np.int64)
    if not edges.party.size:
        return party_set, officer_set
    parties, row = np.unique(edges.party, return_inverse=True)
    officers, column = np.unique(edges.officer, return_inverse=True)
    graph = sparse.csr_matrix(
        (edges.excess, (row.reshape(-1), column.reshape(-1))), shape=(parties.size, officers.size)
    )
    found = Leiden(resolution=_RESOLUTION, modularity="Newman", random_state=0).fit(
        graph, force_bipartite=True
    )
    party_set[parties] = found.labels_row_
    officer_set[officers] = found.labels_col_
    return party_set, officer_set


def _within(edges: Edges, party_set: Integers, officer_set: Integers) -> tuple[Floats, Floats, Floats]:
    """Return files seen and expected on the edges inside each set, and the set's likelihood ratio."""
    sets = int(max(party_set.max(initial=-1), officer_set.max(initial=-1))) + 1
    inside = party_set[edges.party] == officer_set[edges.officer]
    where = party_set[edges.party][inside]
    seen, chance = edges.observed[inside], np.maximum(edges.expected[inside], 1e-9)
    ratio = seen * np.log(seen / chance) - (seen - chance)
    counted, drawn, score = (
        np.bincount(where, one, minlength=sets).astype(np.float64) for one in (seen, chance, ratio)
    )
    return counted, drawn, score


def compute(inputs: Inputs, entry: Entry, random: np.random.Generator) -> pa.Table:
    """Return sets of brokers or importers with the officers whom they meet beyond chance."""
    draws = inputs.query("select distinct draw from integrity_draws order by draw")["draw"].to_pylist()
    tables = [_sets_of(inputs, entry, random, draw) for draw in draws]
    return pa.concat_tables(tables) if tables else no_rows()


def _sets_of(inputs: Inputs, entry: Entry, random: np.random.Generator, draw: str) -> pa.Table:
    rows = inputs.query(
        "select stratum_key, broker_id, importer_id, officer_id from integrity_draws"
        f" where draw = {quote_literal(draw)} order by stratum_key, declaration_id"
    )
    codes = {name: rows[name].combine_chunks().dictionary_encode() for name in rows.column_names}
    number = {name: code.indices.fill_null(-1).to_numpy().astype(np.int64) for name, code in codes.items()}
    brokers, importers, officers = (
        codes[name].dictionary.to_pylist() for name in ("broker_id", "importer_id", "officer_id")
    )
    importer = number["importer_id"]
    files = Files(
        stratum=number["stratum_key"],
        party=np.column_stack([number["broker_id"], np.where(importer >= 0, importer + len(brokers), -1)]),
        officer=number["officer_id"],
        parties=len(brokers) + len(importers),
        officers=len(officers),
    )
    if not files.officers:
        return no_rows()
    found = find_communities(files, random, int(entry.options["shuffles"]))
    parties = np.asarray([*brokers, *importers], dtype=object)
    members = [
        sorted(
            [*parties[found.party_set == one], *np.asarray(officers, dtype=object)[found.officer_set == one]]
        )
        for one in range(found.score.size)
    ]
    support = np.asarray([float(len(one)) for one in members])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, half = found.observed / found.expected, 1.96 * np.sqrt(found.observed) / found.expected
    return raw_table(
        {
            "unit_kind": f"set: {draw}",
            "unit_id": [f"set-{fingerprint.of_json(one)[:12]}" for one in members],
            "counterpart_id": [" ".join(one) for one in members],
            "observed": found.observed,
            "expected": found.expected,
            "observed_unit": "files between members of the set",
            "effect_name": "files over those of an even draw",
            "effect_size": ratio,
            "effect_low": ratio - half,
            "effect_high": ratio + half,
            "effect_unit": entry.effect_unit,
            "tail": "high",
            "test_name": "likelihood ratio against the largest set of each shuffle",
            "p_value": found.p_value,
            "support": support,
            "has_support": support >= entry.support_minimum,
        }
    )
