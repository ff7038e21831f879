"""`qforge dataset`: training sets, exported with a manifest, made again, compared."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click
from msgspec import UNSET, UnsetType

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.moments import MOMENT, moment
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.log.read import safe_head

DIFFERING = (
    Shown("row"),
    Shown("calculation", long=True),
    Shown("smiles", long=True),
    Shown("what", long=True),
)


@click.group(cls=Group)
def dataset() -> None:
    """Export, reproduce and compare training sets.

    \b
    Example:
      qforge dataset export march --as-of 2026-03-31 --where "gap>2"
    """


@dataset.command()
@click.argument("name")
@click.option(
    "--where",
    "where",
    metavar="COLUMN<VALUE",
    multiple=True,
    help=(
        "Only calculations that meet this condition (<, <=, =, >=, >); may be repeated: all must "
        "hold. Values are in the units of the tables."
    ),
)
@click.option(
    "--batch",
    help=(
        "Only items of this batch, whichever batch computed them, with the names of its input: "
        "its name, its id, or a prefix of its id."
    ),
)
@click.option(
    "--as-of",
    "as_of",
    type=moment,
    metavar="TIME",
    help=f"The results as of this time: {MOMENT}.  [default: now]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["parquet", "csv", "jsonl", "extxyz", "sdf", "hdf5"]),
    default="parquet",
    show_default=True,
    help="hdf5 has the layout of the SPICE dataset.",
)
@click.option(
    "--units",
    metavar="ENERGY,LENGTH",
    help="Convert energies (hartree, ev, kcal/mol, kj/mol), lengths (angstrom, bohr, nm) and, with"
    " them, forces.  [default: as stored; extxyz: ev,angstrom; hdf5: hartree,bohr]",
)
@click.option("--order", metavar="COLUMN", help="With --limit: the column to sort by, ascending.")
@click.option("--desc", is_flag=True, help="With --order: the largest values first.")
@limit_option("the first calculations by --order", None, does="Export")
@click.option(
    "--output",
    metavar="FILE",
    help="Output file; - for stdout, in a text format.  [default: NAME with the format's ending]",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def export(
    name: str,
    where: tuple[str, ...],
    batch: str | None,
    as_of: int | datetime | None,
    format_name: str,
    units: str | None,
    order: str | None,
    desc: bool,
    limit: int | None,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write completed calculations to a file, with molecules and per-atom arrays.

    NAME is the name of the dataset. A manifest, FILE.manifest.json, is written beside the file. It
    holds the query, the position of the log, hashes, and the number of calculations that were left
    out, by reason. Calculations that failed, were lost, invalidated or retracted, or have not ended
    are always left out. Where results of several methods, solvents, levels or programs are mixed, a
    warning says so.

    --where takes any column of calculations, of their molecules, and of computed properties.

    \b
    Example:
      qforge dataset export march --as-of 2026-03-31
      qforge dataset export campaign --batch molecules --format extxyz
      qforge dataset export small --where "molecular_weight<300" --where "logp<5" --format extxyz
      qforge dataset export top --order gap --desc --limit 1000 --format hdf5
      qforge dataset export all --format jsonl --output - | head -1 | jq .smiles
    """
    from quantum_forge.datasets.export import export_file, export_stream
    from quantum_forge.datasets.formats import format_named
    from quantum_forge.datasets.manifest import Recipe, beside_of
    from quantum_forge.datasets.mixture import mixtures
    from quantum_forge.datasets.selection import Selection
    from quantum_forge.datasets.units import parse_units
    from quantum_forge.projections.history.moment import position_at
    from quantum_forge.projections.queries import lookup

    if (desc or order is not None) and limit is None:
        raise click.UsageError(
            "--order and --desc require --limit: they determine which calculations it keeps"
        )
    if not name.strip() or "/" in name or not name.isprintable():
        raise click.BadParameter("NAME must be a valid file name", param_hint="NAME")
    format_ = format_named(format_name)
    settings = load_settings()
    with open_forge(settings, reads=[] if batch is None else ["batch_jobs"]) as forge:
        with forge.connect() as connection:
            position = safe_head(connection) if as_of is None else position_at(connection, as_of)
            batch_id: UUID | UnsetType = UNSET
            if batch is not None:
                batch_id = lookup.find_batch(connection, settings.tenant_id, batch)["id"]
        recipe = Recipe(
            name=name,
            tenant_id=settings.tenant_id,
            position=position,
            selection=Selection(
                where=list(where), order=order, descending=desc, limit=limit, batch_id=batch_id
            ),
            format=format_.name,
            units=format_.units if units is None else parse_units(units),
        )
        asked = as_of.isoformat() if isinstance(as_of, datetime) else None
        if asked is not None:
            console.note(f"As of {asked}: position {position} of the log.")
        author = forge.author
        with _progress() as progress:
            if output == "-":
                manifest = export_stream(
                    forge.engine,
                    recipe,
                    sys.stdout.buffer,
                    as_of=asked,
                    progress=progress,
                    author=author,
                )
            else:
                path = Path(output or f"{name}{format_.suffix}")
                manifest = export_file(
                    forge.engine,
                    recipe,
                    path,
                    as_of=asked,
                    replace=force,
                    progress=progress,
                    author=author,
                )
    left_out = ", ".join(f"{count} {reason}" for reason, count in manifest.excluded.items())
    console.note(
        f"{counted(manifest.rows, 'calculation')} with {counted(manifest.atoms, 'atom')}; "
        f"left out: {left_out or 'none'}."
    )
    for mixture in mixtures(manifest.settings):
        console.note(f"Warning: {mixture}.")
    if output == "-":
        return
    if as_json:
        console.emit_json(manifest)
    else:
        console.emit(str(path))
        console.emit(str(beside_of(path)))


MANIFEST = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataset.command()
@click.argument("manifest", type=MANIFEST)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Also write the dataset to this file."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option()
def reproduce(manifest: Path, output: Path | None, force: bool, as_json: bool) -> None:
    """Reproduce a dataset from the log, and check that it has the same content.

    MANIFEST is the manifest beside an export, or the export itself. Without --output only the hash
    of the content is compared. If the content differs, nothing is written, the exit status is 1,
    and the message names the differences and the versions. If the content is the same and only the
    bytes of the file differ, as after an update of a library, the output says so.

    \b
    Example:
      qforge dataset reproduce march.parquet.manifest.json
      qforge dataset reproduce march.parquet --output again.parquet
    """
    from quantum_forge.datasets.manifest import read_manifest
    from quantum_forge.datasets.reproduction import reproduce as reproduce_dataset

    then = read_manifest(manifest)
    settings = load_settings()
    with open_forge(settings) as forge, _progress() as progress:
        done = reproduce_dataset(
            forge.engine,
            then,
            forge.author,
            output=output,
            replace=force,
            progress=progress,
        )
    if as_json:
        console.emit_json(done)
        return
    console.emit(
        f"{counted(done.manifest.rows, 'row')}, content {done.manifest.content_sha256}: the same."
    )
    if done.same_bytes is False:
        why = "; ".join(done.differences) or "the manifest records no difference that explains it"
        console.emit(f"The bytes of the file differ: {why}.")
    elif done.same_bytes:
        console.emit("The file is the same, byte by byte.")


@dataset.command()
@click.argument("before", type=MANIFEST)
@click.argument("after", type=MANIFEST, required=False)
@view_options()
@limit_option("the first rows by calculation id that differ")
@json_option()
def diff(before: Path, after: Path | None, limit: int, as_json: bool) -> None:
    """Print the differences between two datasets.

    BEFORE and AFTER are manifests, or the exports beside them. Without AFTER, BEFORE is compared
    with the present result of its query. Each removed row has a reason, such as retracted.

    \b
    Example:
      qforge dataset diff march.parquet april.parquet
      qforge dataset diff march.parquet --json | jq .removed_because
    """
    from quantum_forge.datasets.difference import compare
    from quantum_forge.datasets.manifest import read_manifest

    manifests = read_manifest(before), None if after is None else read_manifest(after)
    settings = load_settings()
    with open_forge(settings) as forge:
        found = compare(forge.engine, *manifests, forge.author, limit=limit)
    if as_json:
        console.emit_json(found)
        return
    because = ", ".join(f"{count} {reason}" for reason, count in found.removed_because.items())
    console.note(
        f"From position {found.earlier} to {found.later}: {found.added} added, {found.removed} "
        f"removed{f' ({because})' if because else ''}, {found.changed} changed."
    )
    lines = []
    for change in found.examples:
        id_ = str(change.key["calculation_id"])
        row = change.after or change.before or {}
        what = ", ".join(change.columns) or found.reasons.get(id_)
        lines.append((change.kind, id_, row.get("smiles"), what))
    names = [each.name for each in DIFFERING]
    columns.table(DIFFERING, (dict(zip(names, line, strict=True)) for line in lines))
    more = found.added + found.removed + found.changed - len(found.examples)
    if more:
        console.note(
            f"… and {counted(more, 'more row')}; see {'it' if more == 1 else 'them'} with --limit"
        )


class _Progress:
    """Shows a bar from the first batch on, when it is known how many rows there will be."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._report: console.Report | None = None

    def __call__(self, rows: int, total: int) -> None:
        if self._report is None:
            self._report = self._stack.enter_context(console.progress("exporting", total))
        self._report(rows)

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def _progress() -> Iterator[_Progress]:
    with contextlib.closing(_Progress()) as progress:
        yield progress
