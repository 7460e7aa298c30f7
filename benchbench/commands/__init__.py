"""The commands that do not run a benchmark, one a module. Heavy imports happen inside their functions."""
