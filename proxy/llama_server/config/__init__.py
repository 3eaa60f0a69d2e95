"""Which models there are and with which options each starts: llama-server.conf, GGUF files,
folders.
"""
