"""The parsed chat request, and pure functions that adapt it to a backend. No I/O."""
