"""Synthetic members: what their customs systems would send, and the truth behind it.

The world has a causal order, one module each, and detectors may rely on nothing else:
`traffic` (who ships what, truly) -> `irregularities` (what is declared) -> `control` (selectivity,
lane, inspector, examination, release, label) -> `dialects` and `faults` (how it is written).
Truth is written beside the extracts, in a folder that no contract points at.
"""

from tidewaiter.synthetic.generate import GeneratedMember, generate_members

__all__ = ["GeneratedMember", "generate_members"]
