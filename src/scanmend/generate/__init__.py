"""How images are drawn: in plain arithmetic, so that numpy arrays and torch tensors both run."""
