"""Seeds: fixed for ever, different for every purpose, and never from the global state."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchbench.seeding import derive_seed, numpy_generator, torch_generator

scopes = st.lists(st.text("abc", max_size=3) | st.integers(), max_size=3)


def test_seeds_never_change():
    # Every stored result hangs on these numbers: SHA-256 of "0" and of "1\x1fstr:fit\x1fint:2".
    assert derive_seed(0) == 0x5FECEB66FFC86F38 >> 1
    assert derive_seed(1, "fit", 2) == 1665036685596001553


@given(st.integers(-(2**63), 2**63), scopes)
def test_seeds_are_63_bits(seed, scope):
    assert 0 <= derive_seed(seed, *scope) < 2**63
    torch_generator(seed, *scope)
    numpy_generator(seed, *scope)


@given(st.tuples(st.integers(), scopes), st.tuples(st.integers(), scopes))
def test_other_purposes_have_other_seeds(one, two):
    assert (derive_seed(one[0], *one[1]) == derive_seed(two[0], *two[1])) == (one == two)


def test_a_number_is_not_its_text_and_scopes_do_not_run_together():
    assert derive_seed(0, 1) != derive_seed(0, "1")
    assert len({derive_seed(0, "ab"), derive_seed(0, "a", "b"), derive_seed(0, "b", "a"), derive_seed(0)}) == 4


def test_generators_repeat_and_leave_the_global_state_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    one = torch.randn(5, generator=torch_generator(3, "x"))
    assert one.equal(torch.randn(5, generator=torch_generator(3, "x")))
    assert not one.equal(torch.randn(5, generator=torch_generator(3, "y")))
    assert (numpy_generator(3, "x").random(5) == numpy_generator(3, "x").random(5)).all()
    assert torch.get_rng_state().equal(torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
