"""Random ids."""

from proxy.ids import new_id


def test_ids_have_no_digits_and_no_twin() -> None:
    assert new_id("call_").removeprefix("call_").isalpha()
    assert new_id("a") != new_id("a")
