"""Making a dataset again from its manifest, and saying what differs where it is another."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from quantum_forge.datasets.export import (
    Progress,
    end_of,
    export_file,
    manifest_of,
    quietly,
    snapshot,
    write_rows,
)
from quantum_forge.datasets.manifest import Manifest
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.place import require_place
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.projections.history.moment import position_at


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a reproduction whose content is the same.

    same_bytes: whether the file is, too; None where none was written. differences: why not.
    """

    manifest: Manifest
    same_bytes: bool | None
    differences: list[str]


class NotReproduced(QuantumForgeError):
    """The content is not what the manifest says; nothing was written."""

    def __init__(self, name: str, differences: list[str]) -> None:
        self.differences = differences
        super().__init__(
            f"the dataset {name} differs from the original: {'; '.join(differences)}; nothing was "
            "written"
        )


class OtherTenantsDataset(QuantumForgeError):
    """A manifest is of another tenant's data."""

    exit_status = 2

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"the dataset belongs to tenant {tenant}: set QFORGE_TENANT_ID, if you act for it"
        )


def reproduce(
    engine: Engine,
    manifest: Manifest,
    author: Author,
    *,
    output: Path | None = None,
    replace: bool = False,
    progress: Progress = quietly,
) -> Reproduction:
    """Make the dataset of a manifest again, to a file or only to compare its hash.

    Raises:
        NotReproduced: when the content is another; it says what is known of why.
        OtherTenantsDataset
        BeyondHead: when the log does not reach the position: it is another log.
        LogDiverged: when the log has another event at the dataset's last position.
        TargetExists, TargetBusy, TargetUnwritable
    """
    recipe = manifest.recipe
    if recipe.tenant_id != author.tenant_id:
        raise OtherTenantsDataset(str(recipe.tenant_id))
    with engine.connect() as connection:
        position_at(connection, recipe.position)
        if manifest.place is not None:
            require_place(connection, manifest.place)

    def accept(now: Manifest) -> None:
        if now.content_sha256 != manifest.content_sha256:
            raise NotReproduced(recipe.name, list(_content_differences(manifest, now)))

    if output is None:
        with snapshot(engine) as connection:
            content = write_rows(connection, recipe, None, progress=progress)
            end = end_of(connection, recipe)
        now = manifest_of(recipe, content, manifest.as_of, end, None)
        accept(now)
        return Reproduction(manifest=now, same_bytes=None, differences=[])
    now = export_file(
        engine,
        recipe,
        output,
        as_of=manifest.as_of,
        replace=replace,
        progress=progress,
        author=author,
        accept=accept,
    )
    if manifest.file is None or now.file is None:
        return Reproduction(manifest=now, same_bytes=None, differences=[])
    same = manifest.file.sha256 == now.file.sha256
    differences = [] if same else list(_differing("", manifest.software, now.software))
    return Reproduction(manifest=now, same_bytes=same, differences=differences)


def _content_differences(then: Manifest, now: Manifest) -> Iterator[str]:
    if then.rows != now.rows:
        yield f"it had {counted(then.rows, 'row')} and has {now.rows}"
    if then.excluded != now.excluded:
        yield from _differing("left out as ", _texts(then.excluded), _texts(now.excluded))
    columns = [
        name
        for name in then.column_sha256.keys() | now.column_sha256.keys()
        if then.column_sha256.get(name) != now.column_sha256.get(name)
    ]
    yield f"the columns {', '.join(sorted(columns))} differ"
    yield from _differing("the definition of ", then.definitions, now.definitions)
    yield from _differing("", then.software, now.software)
    if then.recorded_at != now.recorded_at:
        yield (
            f"the event before position {then.recipe.position} was recorded at {then.recorded_at}"
            f" and now at {now.recorded_at}: this is another log"
        )


def _texts(numbers: Mapping[str, int]) -> dict[str, str]:
    return {name: str(number) for name, number in numbers.items()}


def _differing(what: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            yield f"{what}{name} was {then.get(name, 'none')} and is {now.get(name, 'none')}"
