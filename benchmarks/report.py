"""The figures as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Comparison


def as_table(
    comparisons: Sequence[Comparison], others: Mapping[str, Any], circumstances: str
) -> str:
    """Markdown: a row per comparison, then the other figures, then where it was measured."""
    lines = [
        "| key | ratio | lowest to highest | target | ours | reference | unit |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for comparison in comparisons:
        facts = comparison.facts()
        target = "" if comparison.target is None else f"{comparison.target:g}"
        lines.append(
            f"| `{comparison.key}` | {facts['ratio']:.2f} | {facts['low']:.2f} to "
            f"{facts['high']:.2f} | {target} | {facts['ours']:,.0f} | "
            f"{facts['reference']:,.0f} | {comparison.unit} |"
        )
    for name, figures in others.items():
        listed = ", ".join(f"{part} {figure:,.1f}" for part, figure in figures.items())
        lines += ["", f"`{name}`: {listed}"]
    return "\n".join([*lines, "", f"Measured on {circumstances}.", ""])
