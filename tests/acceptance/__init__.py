"""Acceptance: real clients, installed as a user would, in front of the whole proxy.

Run on purpose, never collected by default.
"""
