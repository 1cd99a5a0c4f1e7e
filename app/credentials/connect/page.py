"""The page as HTML: one file of markup, one of style, nothing from elsewhere, no script. All that is not our own text is escaped.

The policy names the style by its hash, so that markup of any other origin could neither run, load, frame, nor send anything.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from app.credentials.connect.words import LANGUAGE_NAMES, LANGUAGES, NAMES, WORDS, Field, Language, Words
from app.credentials.links import Link
from app.credentials.schemas import CredentialOut
from app.credentials.tables import Provider
from app.marketplaces.contract import CredentialStatus

_FILES = files("app.credentials.connect")
_PAGE = Template((_FILES / "page.html").read_text())
_STYLE = (_FILES / "style.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""`Referrer-Policy: no-referrer` comes with every answer of the application."""


def form(link: Link, language: Language, *, values: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None) -> str:
    """The form. `errors` are sentences by field, `values` what was given before; of these no secret is shown again."""
    words, provider = WORDS[language], link.provider
    values, errors = values or {}, errors or {}
    body = (
        f"<h1>{escape(words.title[provider])}</h1>"
        f'<p class="quiet">{escape(words.for_company)} {escape(link.company_name)}</p>'
        + _rejection(words, errors)
        # Who tries again has read it, and sees at once what is wrong.
        + f"<details{'' if errors else ' open'}><summary>{escape(words.steps_title)}</summary>{_instructions(words, provider)}</details>"
        + f'<form method="post" action="?lang={language}" autocomplete="off" novalidate>'
        + "".join(_field(field, values.get(field.name, ""), errors.get(field.name)) for field in words.fields[provider])
        + f'<button type="submit">{escape(words.submit)}</button></form>'
    )
    return _page(language, words.title[provider], body, footer=words.safe, switch=True)


def outcome(link: Link, language: Language, credential: CredentialOut) -> str:
    """What became of the key that was stored."""
    words, provider = WORDS[language], link.provider
    kind, sign, title, text = "good", "✓", words.accepted_title, words.accepted
    if credential.status is CredentialStatus.UNVERIFIED:
        kind, sign, title, text = "waiting", "…", words.unverified_title, words.unverified[provider]
    elif credential.missing_scopes:
        kind, sign, title, text = "waiting", "!", words.partial_title, words.partial
    advice = f"{credential.advice} {words.again if credential.missing_scopes else ''}" if credential.advice else ""
    notice = f'<div class="notice wait"><p>{escape(advice)}</p></div>' if advice else ""
    body = (
        f'<span class="sign" aria-hidden="true">{sign}</span><h1>{escape(title)}</h1><p>{escape(text)}</p>{notice}'
        f"<dl>{''.join(f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>' for name, value in _facts(link, language, credential))}</dl>"
        f'<p class="quiet">{escape(words.close)}</p>'
    )
    return _page(language, title, body, kind=kind)


def _facts(link: Link, language: Language, credential: CredentialOut) -> Iterator[tuple[str, str]]:
    words = WORDS[language]
    if link.provider is Provider.GOOGLE:
        yield words.company, link.company_name
    else:
        yield words.shop, f"{NAMES[link.provider]}, {link.company_name}"
    yield words.key, credential.masked or ""
    if link.provider is Provider.OZON and credential.seller_id:
        yield "Client ID", credential.seller_id
    if credential.expires_at:
        yield words.valid_until, f"{credential.expires_at:%d.%m.%Y}" if language == "ru" else f"{credential.expires_at:%Y-%m-%d}"


def _rejection(words: Words, errors: Mapping[str, str]) -> str:
    """Above a key that was tried; a field that was only left empty says so itself."""
    if all(error == words.empty for error in errors.values()):
        return ""
    return f'<div class="notice bad" role="alert"><p>{escape(words.rejected_title)}</p></div>'


def _instructions(words: Words, provider: Provider) -> str:
    steps = "".join(f"<li>{escape(step)}</li>" for step in words.steps[provider])
    boxes = "".join(f"<li>{escape(box)}</li>" for box in words.boxes[provider])
    return f"<ol>{steps}</ol>" + (f'<h2>{escape(words.tick[provider])}</h2><ul class="boxes">{boxes}</ul>' if boxes else "")


def gone(language: Language) -> str:
    """For every link that does not work, whatever the reason."""
    words = WORDS[language]
    return _notice(language, words.gone_title, words.gone, switch=True)


def failed(language: Language) -> str:
    """Where it is not the link's fault, nor the key's."""
    words = WORDS[language]
    return _notice(language, words.failed_title, words.failed, switch=False)


def _notice(language: Language, title: str, text: str, *, switch: bool) -> str:
    body = f'<span class="sign" aria-hidden="true">!</span><h1>{escape(title)}</h1><p>{escape(text)}</p>'
    return _page(language, title, body, kind="gone", switch=switch)


def _field(field: Field, value: str, error: str | None) -> str:
    described = f"{field.name}-hint" + (f" {field.name}-error" if error else "")
    shared = (
        f'id="{field.name}" name="{field.name}" autocomplete="off" autocapitalize="off" autocorrect="off" spellcheck="false" required '
        f'aria-describedby="{described}"' + (' aria-invalid="true"' if error else "")
    )
    if field.long:
        control = f'<textarea {shared} maxlength="16384"></textarea>'
    elif field.secret:
        # Not a password to a browser, which would offer to keep it.
        control = f'<input type="text" class="hidden-text" {shared} maxlength="8192">'
    else:
        control = f'<input type="text" {shared} maxlength="2000" value="{escape(value)}">'
    said = f'<span class="error" id="{field.name}-error">{escape(error)}</span>' if error else ""
    return (
        f'<div class="field{" wrong" if error else ""}"><label for="{field.name}">{escape(field.label)}</label>'
        f'<span class="hint" id="{field.name}-hint">{escape(field.hint)}</span>{control}{said}</div>'
    )


def _page(language: Language, title: str, body: str, *, kind: str = "", footer: str = "", switch: bool = False) -> str:
    return _PAGE.substitute(
        language=language,
        title=escape(title),
        style=_STYLE,
        kind=kind,
        body=body,
        footer=f"<footer>{escape(footer)}</footer>" if footer else "",
        switch=_switch(language, LANGUAGES) if switch else "",
    )


def _switch(present: Language, languages: Sequence[Language]) -> str:
    return "".join(
        f'<span aria-current="true" lang="{each}">{LANGUAGE_NAMES[each]}</span>'
        if each == present
        else f'<a href="?lang={each}" hreflang="{each}" lang="{each}">{LANGUAGE_NAMES[each]}</a>'
        for each in languages
    )
