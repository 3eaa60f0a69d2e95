"""Recorded and built answers of models, each with what is right."""
