"""For authors of plugins: the conformance suite that every shipped generator passes too, and data to try things on.

A test file with one test a rule::

    from benchbench.testing import suite
    from my_package import MyGenerator

    test_my_generator = suite(MyGenerator)
"""

from benchbench.testing.conformance import Finding, conformance, failures, has_rules, suite
from benchbench.testing.mock import mock_images

__all__ = ["Finding", "conformance", "failures", "has_rules", "mock_images", "suite"]
