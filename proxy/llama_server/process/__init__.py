"""One llama-server process: start, readiness, states, output and stop."""
