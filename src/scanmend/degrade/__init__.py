"""What instruments do to images: one effect a module, recipes that chain them, presets."""
