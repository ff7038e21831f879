"""Texts in the cells of CSV files, which people open in a spreadsheet.

A spreadsheet takes a cell that begins with one of `= + - @`, after blanks too, for a formula, and
runs it: a molecule named `=HYPERLINK(…)` would send data away (OWASP, CSV Injection).
"""

import re

_FORMULA = re.compile(r"'*\s*[=+\-@]")


def csv_text(value: str) -> str:
    """Return a text as it stands in a cell: with an apostrophe before what is a formula otherwise.

    Line ends become LF: the csv module quotes no carriage return, which readers take for the end
    of the row. `text_of_csv` undoes the apostrophe.
    """
    text = f"'{value}" if _FORMULA.match(value) else value
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_of_csv(cell: str) -> str:
    """Return the text for which a cell of `csv_text` stands."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
