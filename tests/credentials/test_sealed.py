"""One list of all sealed columns, which no table can escape."""

from piccolo.columns import Text
from piccolo.conf.apps import Finder

from app.credentials.sealed import SEALED
from app.credentials.tables import Provider
from app.webhooks.delivery import SECRET_PURPOSE


def test_every_sealed_column_of_every_table_is_in_the_list():
    tables = Finder().get_table_classes(include_apps=["app"])
    encrypted = {
        (table._meta.tablename, column._meta.db_column_name)
        for table in tables
        for column in table._meta.columns
        if isinstance(column, Text) and column._meta.db_column_name.endswith("_encrypted")
    }

    assert len(encrypted) >= 5
    assert {(each.table, each.column) for each in SEALED} == encrypted


def test_the_purposes_are_those_that_the_subjects_seal_for():
    purposes = {each.column: each.purpose for each in SEALED}

    assert purposes["secret_encrypted"] == SECRET_PURPOSE
    assert {purposes["wb_credentials_encrypted"], purposes["ozon_credentials_encrypted"], purposes["google_credentials_encrypted"]} == set(
        Provider
    )
    assert len(set(purposes.values())) == len(SEALED)
