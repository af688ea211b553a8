"""One module per indicator, each with `compute(inputs, entry, random)`; modules in common begin with `_`."""
