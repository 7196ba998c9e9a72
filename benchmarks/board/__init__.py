"""The parts of the scoreboard: who is compared, on what, and how it is shown."""
