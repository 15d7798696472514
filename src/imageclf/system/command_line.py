"""Words of a command line, as Hydra and a shell take them."""

import re
import shlex

# Whatever else Hydra might take for syntax, or refuse.
_PLAIN = re.compile(r"[\w/.+:@%-]+", re.ASCII)


def override(key: str, value: object) -> str:
    """Return KEY=VALUE as it is typed in a shell, whatever characters the value holds.

    >>> print(override("run", "runs/a"), override("data", "my photos/a=b"))
    run=runs/a "data='my photos/a=b'"
    """
    text = str(value)
    if _PLAIN.fullmatch(text):
        return f"{key}={text}"
    word = f"{key}={quoted(text)}"
    # Double quotes are easier to read around Hydra's single ones, where a shell takes them literally.
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'


def quoted(value: str) -> str:
    r"""Return a value in quotes, so that Hydra takes it as it stands.

    >>> quoted("it's 1,2"), quoted("${x}")
    ("'it\\'s 1,2'", "'\\${x}'")
    """
    return in_quotes(value).replace("${", r"\${")


def in_quotes(value: str) -> str:
    r"""Return a value in quotes; Hydra still looks up what is in ${}.

    >>> in_quotes("a b"), in_quotes("${x}")
    ("'a b'", "'${x}'")
    """
    # Hydra reads backslashes as such, but for those before a quote, the closing one included.
    return "'" + re.sub(r"(\\*)('|$)", _escaped, value) + "'"


def _escaped(match: re.Match[str]) -> str:
    return 2 * match[1] + (r"\'" if match[2] else "")
