"""The command `llama-bridge`: one module for each of its commands."""
