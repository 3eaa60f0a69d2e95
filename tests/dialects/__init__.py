"""One table of cases per dialect."""
