"""Runs a plan: cells in processes of their own, results into the store, the store into a board."""
