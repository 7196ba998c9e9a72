"""Training: settings, samples, loop, checkpoints, export."""
