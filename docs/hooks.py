"""What MkDocs cannot do by itself: show the cross-references of docstrings as the names that they are."""

import re
from typing import Any

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):<code>~?([^<]*)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """``:func:`~package.module.name` `` -> ``name``."""
    return ROLE.sub(lambda match: f"<code>{match[1].rpartition('.')[2]}</code>", html)
