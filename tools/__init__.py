"""Scripts that make what the proxy ships."""
