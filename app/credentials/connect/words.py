"""What the page says, in Russian and English. Where keys are made and what to tick: docs/marketplaces.md, "Which key a seller needs"."""

from typing import Final, Literal, NamedTuple

from app.credentials.messages import BOXES
from app.credentials.tables import Provider
from app.marketplaces.contract import Marketplace

Language = Literal["ru", "en"]

LANGUAGES: Final[tuple[Language, ...]] = ("ru", "en")
LANGUAGE_NAMES: Final = {"ru": "Русский", "en": "English"}
NAMES: Final = {Provider.WILDBERRIES: "Wildberries", Provider.OZON: "Ozon", Provider.GOOGLE: "Google"}


class Field(NamedTuple):
    """One field of the form. `name` is that of the request to `PATCH /tenants/me/credentials`; `wrong` is said where it can't be what it should."""

    name: str
    label: str
    hint: str
    wrong: str
    secret: bool = True
    long: bool = False


class Words(NamedTuple):
    """Of one language: plain text, which the page escapes."""

    title: dict[Provider, str]
    for_company: str
    steps: dict[Provider, tuple[str, ...]]
    steps_title: str
    tick: dict[Provider, str]
    boxes: dict[Provider, tuple[str, ...]]
    fields: dict[Provider, tuple[Field, ...]]
    submit: str
    safe: str
    empty: str
    rejected_title: str
    accepted_title: str
    accepted: str
    partial_title: str
    partial: str
    again: str
    unverified_title: str
    unverified: dict[Provider, str]
    key: str
    shop: str
    company: str
    valid_until: str
    close: str
    gone_title: str
    gone: str
    failed_title: str
    failed: str


RU: Final = Words(
    title={
        Provider.WILDBERRIES: "Подключить магазин Wildberries",
        Provider.OZON: "Подключить магазин Ozon",
        Provider.GOOGLE: "Подключить Google Таблицу",
    },
    for_company="Для компании",
    steps_title="Где взять ключ",
    steps={
        Provider.WILDBERRIES: (
            "Войдите в личный кабинет Wildberries как владелец профиля: только он может создавать токены.",
            "Нажмите на имя профиля и откройте «Настройки» → «Доступ к API».",
            "Начните создавать токен. Тип — «Базовый», если владелец бота не просил другой; тестовый контур не подойдёт.",
            "Отметьте «Только на чтение»: менять в магазине ничего не нужно.",
        ),
        Provider.OZON: (
            "Войдите в личный кабинет Ozon Seller с правами администратора.",
            "Откройте «Настройки» → «Seller API».",
            "Скопируйте Client ID — это число на той же странице.",
            "Создайте ключ. Он действует три месяца, потом понадобится новый.",
        ),
        Provider.GOOGLE: (
            "В Google Cloud включите Google Sheets API и создайте сервисный аккаунт.",
            "В его разделе «Ключи» создайте ключ в формате JSON: скачается файл.",
            "Откройте таблицу, нажмите «Поделиться» и дайте адресу из поля client_email права редактора.",
            "Вставьте ниже адрес таблицы и всё содержимое файла.",
        ),
    },
    tick={Provider.WILDBERRIES: "Отметьте категории", Provider.OZON: "Выберите роль", Provider.GOOGLE: ""},
    boxes={
        Provider.WILDBERRIES: tuple(box.strip("«»") for box in BOXES[Marketplace.WILDBERRIES].ru),
        Provider.OZON: tuple(box.strip("«»") for box in BOXES[Marketplace.OZON].ru),
        Provider.GOOGLE: (),
    },
    fields={
        Provider.WILDBERRIES: (
            Field(
                "wildberries_api_key",
                "Токен",
                "Длинная строка, начинается с eyJ. Кабинет показывает её один раз.",
                "Это не похоже на токен.",
            ),
        ),
        Provider.OZON: (
            Field("ozon_client_id", "Client ID", "Число, например 1234567.", "Client ID — это число без пробелов.", secret=False),
            Field("ozon_api_key", "API-ключ", "Кабинет показывает его один раз.", "Это не похоже на ключ."),
        ),
        Provider.GOOGLE: (
            Field(
                "google_sheet_id",
                "Адрес таблицы",
                "Скопируйте из адресной строки браузера.",
                "Это не адрес Google Таблицы: он начинается с https://docs.google.com/spreadsheets/d/.",
                secret=False,
            ),
            Field("google_credentials_json", "Содержимое файла JSON", "Целиком, от { до }.", "Это не содержимое файла ключа.", long=True),
        ),
    },
    submit="Проверить и подключить",
    safe="Ключ хранится в зашифрованном виде и не попадает в переписку.",
    empty="Заполните это поле.",
    rejected_title="Ключ не подошёл",
    accepted_title="Готово, магазин подключён",
    accepted="Ключ принят. Данные начнут загружаться сами, бот сообщит, когда всё будет готово.",
    partial_title="Магазин подключён, но не полностью",
    partial="Ключ принят. Загрузится то, что он позволяет.",
    again="Для нового ключа попросите у бота новую ссылку.",
    unverified_title="Сохранено, но ещё не проверено",
    unverified={
        Provider.WILDBERRIES: "Wildberries сейчас не отвечает. Ключ сохранён и будет проверен при следующей загрузке — делать ничего не нужно.",
        Provider.OZON: "Ozon сейчас не отвечает. Ключ сохранён и будет проверен при следующей загрузке — делать ничего не нужно.",
        Provider.GOOGLE: "Таблица и ключ сохранены. Доступ к таблице будет проверен при первой выгрузке.",
    },
    key="Ключ",
    shop="Магазин",
    company="Компания",
    valid_until="Действует до",
    close="Можно закрыть эту страницу и вернуться в чат.",
    gone_title="Ссылка больше не работает",
    gone="Ссылка действует 15 минут и только один раз. Если ключ уже был принят, всё в порядке. Если нет, попросите у бота новую ссылку.",
    failed_title="Не получилось",
    failed="Что-то пошло не так на нашей стороне. Подождите минуту, откройте ссылку ещё раз и повторите.",
)

EN: Final = Words(
    title={
        Provider.WILDBERRIES: "Connect a Wildberries shop",
        Provider.OZON: "Connect an Ozon shop",
        Provider.GOOGLE: "Connect a Google spreadsheet",
    },
    for_company="For",
    steps_title="Where to get the key",
    steps={
        Provider.WILDBERRIES: (
            "Sign in to the Wildberries cabinet as the owner of the profile: nobody else can make tokens.",
            "Click the profile's name and open “Настройки” (Settings) → “Доступ к API” (API access).",
            "Begin to make a token. Its type is Base, unless the bot's owner asked for another; a test token will not do.",
            "Tick “Только на чтение” (read only): nothing in the shop has to be changed.",
        ),
        Provider.OZON: (
            "Sign in to the Ozon Seller cabinet as an administrator.",
            "Open “Настройки” (Settings) → “Seller API”.",
            "Copy the Client ID, a number on the same page.",
            "Make a key. It lives for three months; then a new one is needed.",
        ),
        Provider.GOOGLE: (
            "In Google Cloud, enable the Google Sheets API and make a service account.",
            "Under its “Keys”, make a key of the type JSON: a file is downloaded.",
            "Open the spreadsheet, click “Share”, and make the address in client_email an editor.",
            "Paste the spreadsheet's address and all of the file below.",
        ),
    },
    tick={Provider.WILDBERRIES: "Tick these categories", Provider.OZON: "Choose this role", Provider.GOOGLE: ""},
    boxes={
        Provider.WILDBERRIES: tuple(
            f"{ru.strip('«»')} ({en.strip('“”')})"
            for ru, en in zip(BOXES[Marketplace.WILDBERRIES].ru, BOXES[Marketplace.WILDBERRIES].en, strict=True)
        ),
        Provider.OZON: tuple(box.strip("“”") for box in BOXES[Marketplace.OZON].en),
        Provider.GOOGLE: (),
    },
    fields={
        Provider.WILDBERRIES: (
            Field(
                "wildberries_api_key",
                "Token",
                "A long line that begins with eyJ. The cabinet shows it once.",
                "This doesn't look like a token.",
            ),
        ),
        Provider.OZON: (
            Field("ozon_client_id", "Client ID", "A number such as 1234567.", "A Client ID is a number without spaces.", secret=False),
            Field("ozon_api_key", "API key", "The cabinet shows it once.", "This doesn't look like a key."),
        ),
        Provider.GOOGLE: (
            Field(
                "google_sheet_id",
                "The spreadsheet's address",
                "Copy it from the browser's address bar.",
                "This is not the address of a Google spreadsheet, which begins with https://docs.google.com/spreadsheets/d/.",
                secret=False,
            ),
            Field(
                "google_credentials_json",
                "What is in the JSON file",
                "All of it, from { to }.",
                "This is not what a key file holds.",
                long=True,
            ),
        ),
    },
    submit="Check and connect",
    safe="The key is stored encrypted, and never stands in a chat.",
    empty="Please fill this in.",
    rejected_title="This key does not work",
    accepted_title="Done, the shop is connected",
    accepted="The key was accepted. The data will load by itself, and the bot will tell you when it is there.",
    partial_title="The shop is connected, though not all of it",
    partial="The key was accepted. What it allows will be loaded.",
    again="For a new key, ask the bot for a new link.",
    unverified_title="Stored, and not checked yet",
    unverified={
        Provider.WILDBERRIES: "Wildberries does not answer at the moment. The key is stored and will be checked by the next sync; there is nothing to do.",
        Provider.OZON: "Ozon does not answer at the moment. The key is stored and will be checked by the next sync; there is nothing to do.",
        Provider.GOOGLE: "The spreadsheet and the key are stored. Whether they work together will show at the first export.",
    },
    key="Key",
    shop="Shop",
    company="Company",
    valid_until="Valid until",
    close="You can close this page and go back to the chat.",
    gone_title="This link does not work any more",
    gone="A link works for 15 minutes, and once. If a key was accepted by it, all is well. If not, ask the bot for a new one.",
    failed_title="That did not work",
    failed="Something went wrong on our side. Wait a minute, open the link again, and repeat it.",
)

WORDS: Final[dict[Language, Words]] = {"ru": RU, "en": EN}
