"""Tests that start child processes: `make test` runs these, `make check` does not."""
