from __future__ import annotations

from vqchaos.jsonlines import objects


def test_whole_objects_in_their_order() -> None:
    assert objects(b'{"a":1}\n{"b":2}\n') == [{"a": 1}, {"b": 2}]


def test_what_is_torn_or_no_object_is_left_out() -> None:
    assert objects(b'[1]\nnull\n\n{"a":1}\n\xff\n{"b":') == [{"a": 1}]


def test_nothing_of_nothing() -> None:
    assert objects(b"") == []
