"""The child's tests: real processes that start late, crash, hang, lie and do not want to die."""
