"""How well the indicators find what was planted: worlds with known truth, judged one by one, and summed up.

The only room that may read the truth behind synthetic extracts, and only after the signals are written:
nothing here is known to an indicator. `judgement.yaml` says once which hits count as true.
"""
