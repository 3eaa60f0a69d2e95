"""HTTP endpoints, middleware and server protocol of the proxy."""
