"""What the client speaks: events become its bytes, each protocol in a file of its own."""
