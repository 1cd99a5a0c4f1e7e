import pickle

import pytest

from app.secret import Secret


def test_a_secret_shows_itself_nowhere_but_where_it_is_revealed():
    secret = Secret("whsec_very_secret_value")

    assert "very_secret" not in f"{secret} {secret!r} {[secret]} {secret!s}"
    assert secret.reveal() == "whsec_very_secret_value"


def test_a_hint_lets_the_owner_recognise_a_long_secret_and_hides_a_short_one():
    assert Secret("eyJhbGciOiJFUzI1NiJ9.9fQ2").hint() == "eyJ…9fQ2"
    assert Secret("short").hint() == "***"


def test_a_secret_does_not_travel_to_other_processes():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("value"))
