"""One llama-server process: its states, start, readiness, output and end."""
