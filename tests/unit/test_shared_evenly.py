"""How a batch is shared among users who want unequally much."""

from app.delivery.outbox import shared_evenly


def test_everybody_gets_what_they_want_if_there_is_enough() -> None:
    assert shared_evenly({"ada": 3, "bob": 5}, 8) == {"ada": 3, "bob": 5}


def test_who_wants_much_gets_what_the_others_leave() -> None:
    assert shared_evenly({"ada": 1000, "bob": 2, "eve": 1000}, 12) == {"bob": 2, "ada": 5, "eve": 5}


def test_each_gets_something_even_if_there_are_more_than_there_is() -> None:
    assert shared_evenly(dict.fromkeys(range(5), 9), 3) == dict.fromkeys(range(5), 1)


def test_nobody_wants_anything() -> None:
    assert shared_evenly({}, 10) == {}
