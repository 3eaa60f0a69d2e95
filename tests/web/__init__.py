"""Tests of `proxy.web`."""
