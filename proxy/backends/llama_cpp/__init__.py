"""Backend for llama-server: its API, and recovery from failures of its own parser."""
