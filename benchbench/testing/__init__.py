"""For authors of plugins: the conformance suite that every shipped generator passes too, and data to try things on.

from benchbench.testing import conformance, failures

def test_my_generator():
    assert not failures(conformance(MyGenerator))
"""

from benchbench.testing.conformance import Finding, conformance, failures
from benchbench.testing.mock import mock_images

__all__ = ["Finding", "conformance", "failures", "mock_images"]
