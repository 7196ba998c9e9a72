"""Columns of atoms in a dark-field image: where they are, how surely, on which lattice."""
