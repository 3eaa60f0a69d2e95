"""The scripts that made the tiny model."""
