"""A container engine, stand-in images for a machine without a registry, and compose systems."""
