"""Tests of llama-bridge."""
