"""The simulated scanning transmission electron microscope: from atoms to counts of electrons."""
