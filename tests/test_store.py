"""The store: atomic writes, checked reads, one computation a key."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchbench.store import Store, content_key, weights_digest
from benchbench.store.files import array_bytes, load_array, load_state, state_bytes, write_atomic

INPUTS = {"seed": 1, "config": {"width": 8}}


def make() -> tuple[dict[str, bytes], dict[str, object]]:
    return {"a.bin": b"content", "b.bin": bytes(1000)}, {"value": 0.1}


def test_made_once_then_served(tmp_path: Path) -> None:
    store = Store(tmp_path)
    calls = []
    for _ in range(3):
        entry = store.get_or_make("fit", INPUTS, lambda: calls.append(1) or make())  # type: ignore[func-returns-value]
    assert len(calls) == 1
    assert entry.meta == {"value": 0.1}
    assert entry.file("a.bin").read_bytes() == b"content"
    assert Store(tmp_path).get("fit", content_key("fit", INPUTS)) == entry


def test_other_inputs_or_another_stage_are_another_entry(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.get_or_make("fit", INPUTS, make)
    assert store.get("fit", content_key("fit", {**INPUTS, "seed": 2})) is None
    assert store.get("sample", content_key("sample", INPUTS)) is None


def test_every_flipped_byte_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path)
    entry = store.get_or_make("fit", INPUTS, make)
    rng = np.random.default_rng(0)
    for path in sorted(entry.folder.iterdir()):
        whole = path.read_bytes()
        for place in rng.integers(len(whole), size=60):
            broken = bytearray(whole)
            broken[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(broken))
            with caplog.at_level(logging.WARNING):
                served = store.get("fit", entry.key)
            # a flip in the header's white space changes no value: then the entry is served, and is right
            assert served is None or (path.name == "entry.json" and served.meta == entry.meta)
            path.write_bytes(whole)
    assert "damaged" in caplog.text
    assert store.get("fit", entry.key) == entry


@pytest.mark.parametrize("harm", ["truncate", "delete", "empty header"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    entry = store.get_or_make("fit", INPUTS, make)
    if harm == "truncate":
        entry.file("b.bin").write_bytes(bytes(10))
    elif harm == "delete":
        entry.file("a.bin").unlink()
    else:
        entry.file("entry.json").write_bytes(b"")
    assert store.get("fit", entry.key) is None
    again = store.get_or_make("fit", INPUTS, make)
    assert again.file("a.bin").read_bytes() == b"content"
    assert store.get("fit", entry.key) == again


def test_an_entry_of_another_schema_is_not_misread(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import json

    from benchbench.store.store import _header_digest

    store = Store(tmp_path)
    entry = store.get_or_make("fit", INPUTS, make)
    header = json.loads(entry.file("entry.json").read_text())
    del header["sha256"]
    header["schema_version"] = 0
    entry.file("entry.json").write_text(json.dumps({**header, "sha256": _header_digest(header)}))
    assert store.get("fit", entry.key) is None
    assert "schema version 0" in caplog.text


def test_a_failure_while_making_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail() -> tuple[dict[str, bytes], dict[str, object]]:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        store.get_or_make("fit", INPUTS, fail)
    assert store.get("fit", content_key("fit", INPUTS)) is None
    with pytest.raises(ValueError, match=r"Out of range|nan"):  # a NaN is no JSON: the half-written entry goes too
        store.get_or_make("fit", INPUTS, lambda: ({"a.bin": b"x"}, {"value": float("nan")}))
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def _count_one(root: str) -> None:
    def slow() -> tuple[dict[str, bytes], dict[str, object]]:
        import time

        time.sleep(0.3)
        with (Path(root) / "calls").open("a") as file:
            file.write("x")
        return make()

    Store(Path(root)).get_or_make("fit", INPUTS, slow)


def test_two_processes_make_an_entry_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_one, args=(str(tmp_path),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert (tmp_path / "calls").read_text() == "x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(inputs=st.dictionaries(st.text(), JSON, max_size=4))
def test_keys_do_not_depend_on_order(inputs: dict[str, object]) -> None:
    assert content_key("s", dict(reversed(inputs.items()))) == content_key("s", inputs)
    assert content_key("t", inputs) != content_key("s", inputs)
    assert content_key("s", {**inputs, "another": 1}) != content_key("s", inputs) or inputs.get("another") == 1


def test_weights_digest_is_by_value(tmp_path: Path) -> None:
    state = {"b": torch.arange(6.0).reshape(2, 3), "a": {"n": 3}}
    same = {"a": {"n": 3}, "b": torch.arange(6.0).reshape(3, 2).T.contiguous().T.reshape(2, 3)}
    assert weights_digest(state) == weights_digest(same)
    path = tmp_path / "s.pt"
    path.write_bytes(state_bytes(state))
    assert weights_digest(load_state(path)) == weights_digest(state)
    for other in ({**state, "a": {"n": 4}}, {**state, "b": state["b"].double()}, {**state, "b": state["b"].T}):
        assert weights_digest(other) != weights_digest(state)


def test_pickled_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="an array of object"):
        load_array(path)
    torch.save({"f": print}, tmp_path / "x.pt")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        load_state(tmp_path / "x.pt")


def test_arrays_round_trip(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / "x.npy"
    write_atomic(path, array_bytes(array))
    assert (load_array(path) == array).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npy"]
