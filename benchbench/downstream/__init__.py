"""The downstream protocol and the classifiers it trains."""
