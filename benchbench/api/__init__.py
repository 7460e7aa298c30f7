"""What a notebook needs: run a benchmark, read its numbers, fit a generator and keep it."""
