"""How each synthetic member's customs system spells its rows, one module each.

`members/<code>/contract.yaml` reads it back and knows nothing of these modules.
"""

from __future__ import annotations

from tidewaiter.synthetic.dialects.spelling import Dialect, Fault, FileKind, Source
from tidewaiter.synthetic.dialects.xa import XA
from tidewaiter.synthetic.dialects.xb import XB
from tidewaiter.synthetic.dialects.xc import XC
from tidewaiter.synthetic.dialects.xd import XD
from tidewaiter.synthetic.dialects.xe import XE
from tidewaiter.synthetic.dialects.xf import XF

DIALECTS: dict[str, Dialect] = {"XA": XA, "XB": XB, "XC": XC, "XD": XD, "XE": XE, "XF": XF}

__all__ = ["DIALECTS", "Dialect", "Fault", "FileKind", "Source"]
