"""llama.cpp's server: its API, and what to do where its own parser fails."""
