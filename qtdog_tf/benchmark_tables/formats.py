"""Tables as text for people, Markdown, LaTeX (booktabs) and CSV. Start from `FORMATS`."""

import csv
import io
from collections.abc import Callable, Sequence

from qtdog_tf.benchmark_tables.escaping import latex, markdown, spreadsheet
from qtdog_tf.benchmark_tables.table import Line, Table
from qtdog_tf.tables import format_table


def as_text(tables: Sequence[Table]) -> str:
    """Aligned columns."""
    return "\n\n".join(map(_text, tables))


def as_markdown(tables: Sequence[Table]) -> str:
    """Tables of GitHub's Markdown; the best own figure of a column is bold."""
    return "\n\n".join(map(_markdown, tables))


def as_latex(tables: Sequence[Table]) -> str:
    r"""Tables to `\input` into a document that loads booktabs; the best own figure is bold."""
    return "\n\n".join(["% Needs \\usepackage{booktabs}.", *map(_latex, tables)])


def as_csv(tables: Sequence[Table]) -> str:
    """One line a cell, with the numbers as they are, in %."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for table in tables:
        for line in table.lines:
            writer.writerows(_csv_rows(table, line))
    return file.getvalue().rstrip("\n")


_CSV_COLUMNS = (
    *("table", "selection", "method", "column", "mean", "error", "figures"),
    *("incomplete", "published", "rests_on"),
)
FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
}


def _text(table: Table) -> str:
    own = [_plain(line) for line in table.lines if not line.published]
    printed = [_plain(line) for line in table.lines if line.published]
    lines = format_table(table.header, own + printed).splitlines()
    if own and printed:
        lines.insert(2 + len(own), lines[1])
    return "\n".join([table.caption, *lines, *table.notes])


def _plain(line: Line) -> list[str]:
    return [_marked(line), *(cell.text for cell in line.cells), line.rests_on]


def _marked(line: Line) -> str:
    return line.name + " *" * line.incomplete


def _markdown(table: Table) -> str:
    rule = ["---", *["--:" for _ in table.columns], "---"]
    rows = [[markdown(name) for name in table.header], rule]
    for line in table.lines:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in line.cells]
        rows.append([markdown(_marked(line)), *cells, markdown(line.rests_on)])
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"- {markdown(note)}" for note in table.notes)
    return f"### {markdown(table.title)}\n\n{markdown(table.caption)}\n\n{text}\n\n{notes}".rstrip()


def _latex(table: Table) -> str:
    # The page is narrow: where a figure was published stands below.
    sources = list(dict.fromkeys(line.rests_on for line in table.lines if line.published))
    below = [f"[{number}] {source}" for number, source in enumerate(sources, 1)]
    notes = r"\\".join(f"\n{latex(note)}" for note in (*below, *table.notes))
    return rf"""\begin{{table}}
\centering\footnotesize\setlength{{\tabcolsep}}{{4pt}}
\caption{{{latex(table.caption)}}}
\begin{{tabular}}{{l{"r" * len(table.columns)}l}}
\toprule
{_latex_row([latex(name) for name in table.header])}
\midrule
{_latex_lines(table, sources)}
\bottomrule
\end{{tabular}}
\par\smallskip\begin{{minipage}}{{\linewidth}}{notes}
\end{{minipage}}
\end{{table}}"""


def _latex_lines(table: Table, sources: Sequence[str]) -> str:
    rows = []
    for line, before in zip(table.lines, (None, *table.lines), strict=False):
        if before is not None and line.published and not before.published:
            rows.append(r"\midrule")
        place = f"[{sources.index(line.rests_on) + 1}]" if line.published else line.rests_on
        cells = [_latex_cell(cell.text, cell.best) for cell in line.cells]
        rows.append(_latex_row([latex(_marked(line)), *cells, latex(place)]))
    return "\n".join(rows)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(text: str, best: bool) -> str:
    mean, plus_minus, error = text.partition(" +- ")
    shown = rf"\textbf{{{mean}}}" if best else mean
    return shown + (rf" $\pm$ {error}" if plus_minus else "")


def _csv_rows(table: Table, line: Line) -> list[list[str]]:
    return [
        [
            spreadsheet(table.title),
            table.selection,
            spreadsheet(line.name),
            spreadsheet(column),
            "" if cell.mean is None else repr(cell.mean),
            "" if cell.error is None else repr(cell.error),
            str(len(cell.choices)),
            str(line.incomplete).lower(),
            str(line.published).lower(),
            spreadsheet(line.rests_on),
        ]
        for column, cell in zip(table.columns, line.cells, strict=True)
    ]
