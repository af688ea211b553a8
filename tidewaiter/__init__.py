"""The shared kernel: settings, errors, canonical model, contracts, landing, pseudonyms, synthetic members.

Imports none of the rooms above it (`flows`, `ml`, `expectations`) and nothing heavy at import time.
"""

__version__ = "0.1.0"
