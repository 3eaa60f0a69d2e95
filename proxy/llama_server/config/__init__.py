"""Configuration of the managed models: llama-server.conf, GGUF files, folders, options."""
