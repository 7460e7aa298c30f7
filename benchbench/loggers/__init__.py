"""Loggers that come with benchbench."""
