"""The simulated scanning tunnelling microscope: from the atoms of a tip and a sample to scans."""
