"""Parser that turns the text of a model's answer into events; does no I/O."""
