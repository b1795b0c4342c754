"""Run a notebook's cells in this process. `python -m tests.notebook docs/NAME.ipynb` also writes what they printed into it.

nbclient and ipykernel, which do this elsewhere, bring thirty packages and start a second Python; the cells need nothing of them.
"""

import ast
import base64
import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import nbformat


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run the code cells in order, put in their outputs and return the notebook. Errors of a cell are raised."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code_cells, 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            value = _run(cell.source, names, f"cell {number}")
        cell.execution_count, cell.outputs = number, []
        if printed.getvalue():
            cell.outputs.append(nbformat.v4.new_output("stream", text=printed.getvalue()))
        if value is not None:
            cell.outputs.append(
                nbformat.v4.new_output("execute_result", data=_shown(value), execution_count=number)
            )
    return notebook


def _run(source: str, names: dict[str, Any], where: str) -> Any:
    """Run a cell; the value of an expression on its last line, which a notebook shows."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value) if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), where, "exec"), names)
    value = eval(compile(last, where, "eval"), names) if last else None
    return None if source.rstrip().endswith(";") else value


def _shown(value: Any) -> dict[str, str]:
    """The forms of a value that a notebook can show."""
    forms = {"text/plain": re.sub(r" at 0x\w+", "", repr(value))}
    if hasattr(value, "_repr_html_"):
        forms["text/html"] = value._repr_html_()
    if hasattr(value, "_repr_png_"):
        forms["image/png"] = base64.b64encode(value._repr_png_()).decode()
    return forms


if __name__ == "__main__":
    file = Path(sys.argv[1]).resolve()  # the cells may change the working folder
    nbformat.write(execute(nbformat.read(file, as_version=4)), file)
