"""What the audit log can say is what docs/audit-log.md explains. That the code records nothing else is the type checker's business."""

import re
from pathlib import Path
from typing import get_args

from app.audit.deeds import Deed

ROOT = Path(__file__).parents[2]


def test_each_deed_of_the_code_is_in_the_table_and_each_of_the_table_in_the_code():
    code = "".join(file.read_text() for file in (ROOT / "app").rglob("*.py") if file.name != "deeds.py")
    table = re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs" / "audit-log.md").read_text(), re.MULTILINE)

    assert table == list(get_args(Deed)) == sorted(table)
    assert [deed for deed in table if f'"{deed}"' not in code] == []
