"""How a log record becomes one line: readable, or one JSON object.

Whatever a client sent is escaped, so that no name or header can forge a line.

Spec: lines 252-260, 278-279. Source: OWASP ASVS 5.0 V16.4.1 (log injection).
"""

import json
import logging
import logging.config
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, then the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; JSON escapes every control character."""
        line: dict[str, Any] = {
            "timestamp": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ReadableLines(logging.Formatter):
    """``time LEVEL message name=value``; a traceback follows on lines that begin with a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; values are escaped, so that one record is one line."""
        parts = [_time(record), f"{record.levelname:<7}", one_line(record.getMessage())]
        parts += [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        text = " ".join(parts)
        if record.exc_info:
            told = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *(f"  | {one_line(line)}" for line in told)])
        return text


def one_line(text: str) -> str:
    """Escape everything that could start a new line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shown(value: object) -> str:
    text = one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def configure_logging(level: int, database_level: int, *, structured: bool) -> None:
    """Send every logger to standard output in one form (spec line 279: ``docker logs | grep``).

    Args:
        level: the lowest level that is written, as in the standard library.
        database_level: the same for the libraries that speak to the database.
        structured: JSON lines instead of readable ones.
    """
    # Nothing of this is written, and every request has a line (Logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - no walk up the stack
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines() if structured else ReadableLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("bennu").setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    for name in ("sqlalchemy", "alembic", "asyncpg"):
        logging.getLogger(name).setLevel(database_level)
    logging.captureWarnings(capture=True)
