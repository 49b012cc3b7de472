from pipelines.store_errors import explained


def test_errors_that_lead_back_to_each_other_are_gone_through_once():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__context__ = other, one
    assert explained(one) is None
