"""Reading a CSV file of two columns, of any length, with errors that name the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models.values import check_id


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file of two columns, in UTF-8, whose first line names them. Values are taken as they stand.

    Other columns may be there; a value with a comma, a quote or a line break is quoted, as CSV does.

    Attributes:
        path: The file.
        columns: The two columns' names.
        setting: The setting that names the file, for errors.
    """

    path: Path
    columns: tuple[str, str]
    setting: str

    def rows(self) -> Iterator[tuple[int, str, str]]:
        """Yield each row's last line, counted from 1, and its two values.

        Raises:
            ConfigurationError: The file cannot be read, is not such a table, or a value is empty.
        """
        line = 0
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                header = next(reader, [])
                left, right = self._places(header)
                for row in reader:
                    line = reader.line_num
                    if not row:
                        continue
                    if len(row) != len(header):
                        raise self.error(f"there are {len(row)} values for {len(header)} columns", line)
                    for place in (left, right):
                        if not row[place]:
                            raise self.error(f"{header[place]} is empty", line)
                    yield line, row[left], row[right]
        except OSError as error:
            raise ConfigurationError(
                f"{self.setting} names the file {self.path}, which cannot be read: {error.strerror}"
            ) from error
        except UnicodeDecodeError as error:
            raise self.error(f"it is not UTF-8, somewhere behind line {line}: save it as UTF-8") from error
        except csv.Error as error:
            raise self.error(f"it is no CSV: {error}", line + 1) from error

    def error(self, reason: str, line: int | None = None) -> ConfigurationError:
        """Return an error that names the file, and the line where there is one."""
        place = f"{self.path}" if line is None else f"{self.path}, line {line}"
        return ConfigurationError(f"{self.setting}: {place}: {reason}")

    def duplicate(self, column: int, value: str, line: int) -> ConfigurationError:
        """Return the error of a value that stands in a column twice; it names both lines."""
        first = next(row[0] for row in self.rows() if row[1 + column] == value)
        return self.error(f"the {self.columns[column]} {value!r} stands in line {first} already", line)

    def _places(self, header: list[str]) -> tuple[int, int]:
        left, right = self.columns
        if header.count(left) != 1 or header.count(right) != 1:
            found = ",".join(header) or "nothing"
            raise self.error(f"the first line must name the columns {left},{right}; it is {found[:200]}", 1)
        return header.index(left), header.index(right)


def check_user(user: object, place: str) -> str:
    """Return a user's id if it can be one.

    Args:
        user: The id.
        place: Where it was found, for the error.

    Raises:
        ConfigurationError: It is no text, is empty, or is too long.
    """
    if not isinstance(user, str):
        raise ConfigurationError(f"{place}: the user's id is a {type(user).__name__}, no text")
    try:
        return check_id(user, "user's id")
    except InvalidRecordError as error:
        raise ConfigurationError(f"{place}: {error}") from error
