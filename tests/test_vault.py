import pytest

from app.ids import new_id
from app.secret import Secret
from app.settings import new_master_key
from app.vault import CredentialsUnreadable, Vault


def master() -> Secret:
    return Secret(new_master_key())


def test_a_sealed_value_opens_for_its_tenant_and_purpose_only():
    vault, tenant, rival = Vault([master()]), new_id(), new_id()

    sealed = vault.seal(Secret("the key"), tenant_id=tenant, purpose="wildberries")

    assert vault.unseal(sealed, tenant_id=tenant, purpose="wildberries").reveal() == "the key"
    with pytest.raises(CredentialsUnreadable):
        vault.unseal(sealed, tenant_id=rival, purpose="wildberries")
    with pytest.raises(CredentialsUnreadable):
        vault.unseal(sealed, tenant_id=tenant, purpose="ozon")


def test_the_newest_master_key_seals_and_all_of_them_open():
    old, new, tenant = master(), master(), new_id()
    sealed_before = Vault([old]).seal(Secret("value"), tenant_id=tenant, purpose="p")

    both = Vault([new, old])

    assert both.unseal(sealed_before, tenant_id=tenant, purpose="p").reveal() == "value"
    assert both.seal(Secret("value"), tenant_id=tenant, purpose="p").split(".")[1] != sealed_before.split(".")[1]
    with pytest.raises(CredentialsUnreadable):
        Vault([new]).unseal(sealed_before, tenant_id=tenant, purpose="p")


@pytest.mark.parametrize(
    "damage", [lambda s: s[:-4] + "AAAA", lambda _: "", lambda _: "v1", lambda s: "v2" + s[2:], lambda s: s.replace(".", "")]
)
def test_a_damaged_value_is_unreadable_and_nothing_worse(damage):
    vault, tenant = Vault([master()]), new_id()
    sealed = vault.seal(Secret("value"), tenant_id=tenant, purpose="p")

    with pytest.raises(CredentialsUnreadable) as raised:
        vault.unseal(damage(sealed), tenant_id=tenant, purpose="p")

    assert raised.value.__cause__ is None


def test_a_sealed_value_shows_neither_the_secret_nor_the_master_key():
    key, tenant = master(), new_id()

    sealed = Vault([key]).seal(Secret("plain words"), tenant_id=tenant, purpose="p")

    assert "plain words" not in sealed
    assert key.reveal() not in sealed
