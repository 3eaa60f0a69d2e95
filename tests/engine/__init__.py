"""The whole proxy in front of the real llama.cpp server with the tiny model."""
