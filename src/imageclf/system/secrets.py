"""Recognise secrets by their names and in addresses, so that they are neither written nor printed."""

import re
from collections.abc import Iterator, Sequence

_WORDS = frozenset(
    {"apikey", "auth", "bearer", "credential", "credentials", "passphrase", "passwd", "password", "pwd"}
    | {"secret", "token"}
)
# `key` alone, and these kinds of keys; a sort_key is none.
_KEYS = frozenset({"access", "account", "api", "auth", "encryption", "private", "secret", "signing", "ssh"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_PARAMETER = re.compile(r"[?&]([\w-]+)=([^&\s#]+)")
# name=value and name: value, as in an override and in the mappings it may hold.
_PAIR = re.compile(r"""([\w.@/-]+)\s*[=:]\s*("[^"]*"|'[^']*'|\$\{[^}]*\}|[^\s,{}\[\]]+)""")
_READS_ENVIRONMENT = "${oc.env:"


def is_secret_name(name: str) -> bool:
    """Return whether a key, a parameter or an environment variable of this name holds a secret.

    >>> [is_secret_name(each) for each in ("WANDB_API_KEY", "accessToken", "key", "pwd")]
    [True, True, True, True]
    >>> [is_secret_name(each) for each in ("tokenizer", "num_tokens", "sort_key", "author")]
    [False, False, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if words[-1:] == ["key"]:
        return len(words) == 1 or words[-2] in _KEYS
    return not _WORDS.isdisjoint(words)


def has_password(value: str) -> bool:
    """Return whether an address in a text holds a password, other than one from the environment.

    >>> [has_password(f"https://me:{each}@host/x") for each in ("abc", "${oc.env:KEY}")]
    [True, False]
    """
    return next(_in_addresses(value), None) is not None


def hidden(text: str, arguments: Sequence[str]) -> str:
    """Return a text without the secrets among the arguments of a command, and without passwords of addresses.

    >>> hidden("no logger.api_key=abc at http://me:abc@host", ["+logger={api_key: abc}"])
    'no logger.api_key=*** at http://me:***@host'
    """
    pairs = [pair for each in arguments for pair in _PAIR.findall(each)]
    named = {value.strip("\"'") for name, value in pairs if is_secret_name(name.rpartition(".")[2])}
    found = named | set(_in_addresses(text)) | {each for word in arguments for each in _in_addresses(word)}
    for secret in sorted(found - {"", "null"}, key=len, reverse=True):
        if _READS_ENVIRONMENT not in secret:
            text = text.replace(secret, "***")
    return text


def _in_addresses(text: str) -> Iterator[str]:
    """Yield the passwords in the addresses of a text."""
    found = [password for _, password in _PASSWORD.findall(text)]
    if "://" in text:
        found += [value for name, value in _PARAMETER.findall(text) if is_secret_name(name)]
    yield from (each for each in found if _READS_ENVIRONMENT not in each)
