"""Synthetic members: what their customs systems would send, and the truth behind it.

The world has a causal order, one module each, and detectors may rely on nothing else: `traffic` (who
ships what, truly) -> `declaring` (what is declared) -> `selectivity` (criteria, random draw, top-up, lane)
-> `resubmission` (cancelled and registered anew) -> `assignment` (an inspector of the roster) ->
`examination` (findings, acts, release, label, audits). Before it stand `goods`, `parties`, `officers`,
`rates` and `schemes` (who plays which part); after it `tables`, `events`, `aggregates`, then `dialects`,
`faults` and `forms` (how it is written). Truth is written beside the extracts, in a folder that no
contract can point at.
"""

from tidewaiter.synthetic.generate import (
    GeneratedMember,
    generate_members,
    make_requests,
    write_members,
)

__all__ = ["GeneratedMember", "generate_members", "make_requests", "write_members"]
