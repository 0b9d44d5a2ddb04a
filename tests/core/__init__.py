"""The pure parts, each for itself."""
