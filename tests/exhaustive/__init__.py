"""Every cut, the laws, linear time, and the corpus through the whole proxy: `make test` runs
these, `make check` does not.
"""
