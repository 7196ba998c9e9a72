"""A folder into which a microscope writes: every scan is restored as it appears."""
