"""What we change in a question before it is asked: pure functions on the parsed body, no I/O."""
