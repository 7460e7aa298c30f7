"""The generators that come with benchbench, one module each, found like anyone else's."""
