"""What a prompt names: quoted phrases, names, numbers, dates and ``key: value`` pairs.

The stand-in fills arguments and objects with them. They are found by rules instead of a model: the same text always
gives the same words, in the order in which they stand.
"""

import re
from collections.abc import Collection

CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")

_QUOTED = re.compile(
    r"\"([^\"\n]{1,300})\"|“([^”\n]{1,300})”|「([^」\n]{1,300})」|『([^』\n]{1,300})』|(?<!\w)'([^'\n]{1,300})'(?!\w)"
)
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?)?")
_LINK = re.compile(r"https?://[^\s\"'<>)\]，。]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"(?:(?<![\w.])|(?<=\d[x×]))-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w.]*\w@)")
_CAPITALS = re.compile(r"[^\W\d_a-zß-öø-ÿ][\w'’-]*(?: (?:(?:of|de|van|von|the) )?[^\W\d_a-zß-öø-ÿ][\w'’-]*)*")
_AFTER = re.compile(r"\b(?:in|for|of|at|to|from|about|named|called|near|on|and|or)\s+([^.?!;:\n]+)", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s*(?:,|，|、|;|&|\band\b|\bor\b|\bfrom\b|\bto\b|\bin\b|以及|还有|和|与|及|跟)\s*", re.IGNORECASE
)
_FILLER = re.compile(
    "请问|请|帮我|帮忙|查一下|查询|查查|告诉我|看看|今天|明天|现在|怎么样|怎样|如何|是什么|什么|多少|一下|哪些|哪个|列出|提取|"
    "[的吗呢吧了在有是我要想给把]"
)
_COMMON = frozenset(
    """a about add all also am an and answer any are as ask at be been both but by call can check city compare
    compute could current date describe did do does done extract fetch find for from get give go goes going had
    has have hello hi how i if in into is it its json just let like list look make may me my name no not now of
    ok on one or our out per person please put report return say see send set should show so some summarise
    summarize tell temperature than thank thanks that the their them then there these they this time to today
    tomorrow tool translate two up use using via was we weather were what when where which who why will with
    would write yes you your""".split()  # noqa: SIM905  (a list of words reads best as words)
)
# Common words that describe a tool all the same.
_MEANINGFUL = frozenset({"add", "city", "compare", "date", "list", "name", "person", "temperature", "time", "translate",
                     "weather"})  # fmt: skip
ENGLISH = {
    "天气": "weather",
    "气温": "temperature",
    "时间": "time",
    "几点": "time",
    "翻译": "translate",
    "搜索": "search",
    "计算": "calculate",
    "汇率": "exchange",
    "股价": "stock",
    "新闻": "news",
    "邮件": "email",
    "日期": "date",
    "航班": "flight",
    "酒店": "hotel",
    "地图": "map",
}
"""What a Chinese prompt may ask of a tool that is described in English."""

_LONGEST_NUMBER = 30  # Characters; what is longer is no amount of anything.
_SHORT = 3  # "gas" is no plural.
_NOT_NAMES = frozenset({"Celsius", "Fahrenheit", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
                        "Sunday"})  # fmt: skip


class Words:
    """The words of a text, or the ``names`` passed for them, handed out in order; each is handed out once.

    ``without`` are words in lower case that are no names here, such as those of a tool's own description.
    """

    def __init__(self, text: str, *, without: Collection[str] = (), names: Collection[str] | None = None) -> None:
        self.text = text
        self.names: list[str] = list(names) if names is not None else _names(text, frozenset(without))
        self.numbers: list[float] = _numbers(text)
        self.dates: list[str] = _DATE.findall(text)
        self.links: list[str] = _LINK.findall(text)

    @property
    def left(self) -> bool:
        """Whether anything is left to hand out."""
        return bool(self.names or self.numbers or self.dates)

    def take_name(self) -> str | None:
        """Return the next name, once; None when there are no more."""
        return self.names.pop(0) if self.names else None

    def take_number(self) -> float | None:
        """Return the next number, once; whole ones are int."""
        return self.numbers.pop(0) if self.numbers else None

    def value_of(self, key: str) -> str | None:
        """Return what the text says of a key: ``max_price: 20``, ``the city is Oslo``, ``名称为「猫」``."""
        spelt = r"[\s_-]*".join(map(re.escape, split_name(key))) or re.escape(key)
        found = re.search(
            rf"(?<![^\W_]){spelt}(?:\s*[:=：＝]\s*|\s+(?:is|are|was|equals|of)\s+|为|是)(?:\"([^\"\n]+)\"|「([^」\n]+)」|"
            r"([^,，;；。!！?？\n]+?))(?=\s+(?:and|with|whose)\b|[,，;；。!！?？\n]|\.(?:\s|$)|$)",
            self.text,
            re.IGNORECASE,
        )
        if found is None:
            return None
        value = str(next(filter(None, found.groups()))).strip(" \"'")
        if value in self.names:
            self.names.remove(value)
        return value

    def number_near(self, key: str) -> float | None:
        """Return the number that stands with a key: ``3 days``, ``days = 3``, ``aged 36``; once."""
        spelt = r"[\s_-]*".join(map(re.escape, split_name(key))) or re.escape(key)
        number = r"(-?\d[\d,]*(?:\.\d+)?)"
        found = re.search(
            rf"(?<![\w.]){number}\s*-?\s*{spelt}|\b{spelt}\w{{0,2}}\b\D{{0,12}}?{number}", self.text, re.IGNORECASE
        )
        spelt = "" if found is None else (found[1] or found[2]).rstrip(",")
        if not spelt or len(spelt) > _LONGEST_NUMBER:
            return None
        value = _number(spelt)
        if value in self.numbers:
            self.numbers.remove(value)
        return value

    def mentions(self, word: str) -> bool:
        """Return whether a word stands in the text, upper and lower case alike."""
        if CJK.search(word):
            return word in self.text
        return re.search(rf"(?<!\w){re.escape(word)}s?(?!\w)", self.text, re.IGNORECASE) is not None


def split_name(name: str) -> list[str]:
    """Cut ``get_weather``, ``getWeather`` or ``GetWeather`` into its words, in lower case."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)]


def terms(text: str) -> set[str]:
    """Return the words of a text that carry meaning, in lower case and without their plural s.

    CJK comes in pairs of characters, and in English too where ``ENGLISH`` knows the pair.
    """
    latin = {_singular(part) for part in split_name(text) if CJK.search(part) is None and len(part) > 1}
    runs = re.findall(r"[\u3040-\u30ff\u3400-\u9fff]+", text)
    pairs = {run[place : place + 2] for run in runs for place in range(len(run) - 1)}
    meant = {_singular(ENGLISH[pair]) for pair in pairs if pair in ENGLISH}
    return {part for part in latin if part not in _COMMON or part in _MEANINGFUL} | pairs | meant


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > _SHORT else word


def _names(text: str, without: frozenset[str]) -> list[str]:
    quoted = [str(next(filter(None, found.groups()))) for found in _QUOTED.finditer(text)]
    # Who quotes has said what counts; everything else would be noise.
    if quoted:
        return quoted
    # The parts of a link or a date are no names.
    bare = _DATE.sub(" ", _LINK.sub(" ", text))

    def is_name(word: str) -> bool:
        lower = word.lower()
        return lower not in _COMMON and lower not in without and lower.removesuffix("s") not in without

    names: list[str] = []
    for run in _CAPITALS.findall(bare):
        parts = run.split(" ")
        while parts and not is_name(parts[0].removesuffix("'s").removesuffix("’s")):
            del parts[0]
        name = " ".join(parts).removesuffix("'s").removesuffix("’s")
        if (
            name
            and name not in names
            and name not in _NOT_NAMES
            and (len(name) > 1 or name.isupper())
            and not CJK.search(name)
        ):
            names.append(name)
    if names:
        return names
    if CJK.search(text):
        known = sorted((word for word in without if CJK.search(word)), key=len, reverse=True)
        kept = re.sub("|".join(map(re.escape, known)) or "(?!)", " ", _FILLER.sub(" ", bare))
        pieces = [re.sub(r"[\s?？!！。:：]+", " ", piece).strip() for piece in _BETWEEN.split(kept)]
        return list(dict.fromkeys(piece for piece in pieces if piece and not piece.replace(".", "").isdecimal()))
    after = _AFTER.search(bare)
    pieces = _BETWEEN.split(after[1]) if after else []
    kept_words = [" ".join(word for word in piece.split() if is_name(word)) for piece in pieces]
    return list(dict.fromkeys(word for word in kept_words if word and not word.replace(".", "").isdecimal()))


def _numbers(text: str) -> list[float]:
    found = _NUMBER.findall(_LINK.sub(" ", _DATE.sub(" ", text)))
    return [_number(each) for each in found if len(each) <= _LONGEST_NUMBER]


def _number(spelt: str) -> float:
    plain = spelt.replace(",", "")
    return float(plain) if "." in plain else int(plain)
