"""Proposing a contract from samples: every guess says where it comes from, every gap is listed.

`names` says what a column is called, `content` what it holds, `match` which field it is, `write` how
the contract is written. Landing never guesses; it does what the contract says.
"""

from tidewaiter.contracts.propose.names import similarity
from tidewaiter.contracts.propose.proposal import Proposal, ProposedExtract, propose
from tidewaiter.contracts.propose.write import contract_text

__all__ = ["Proposal", "ProposedExtract", "contract_text", "propose", "similarity"]
