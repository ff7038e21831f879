"""The SQL that a person would write for the same tables: one SELECT each, for these event types.

The columns are in the order of the table, generated ones left out. What the benchmark's log does
not hold (requests, cancelled batches, deleted molecules, …) is handled for `calculations` alone,
whose SQL has the whole meaning; elsewhere that is a gift to the reference.
"""

import time
from collections.abc import Mapping

from sqlalchemy import Engine, text

from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.registry import PROJECTIONS

MAINTENANCE = "SET LOCAL work_mem = '64MB'; SET LOCAL maintenance_work_mem = '256MB'"
"""Memory for the statements by hand, which is what a projection has."""

_ENDS = (
    "'calculation_completed', 'calculation_failed', 'calculation_lost', 'calculation_invalidated'"
)
_TYPES = (
    f"""'calculation_requested', 'calculation_started', {_ENDS}, 'calculation_retry_scheduled'"""
)
_LAST = "[array_upper({0}, 1)]"

# An event's facts by column: absent fields leave a column alone, nulls clear it, so that the merged
# facts of a key are its row. What other types say under a column's name is left out.
_FACTS = """
    CASE event_type
        WHEN 'calculation_completed' THEN data - 'atoms'
        WHEN 'calculation_started'
            THEN data || '{"error_type": null, "error_message": null}'
        WHEN 'calculation_failed' THEN data - 'attempt'
        WHEN 'calculation_lost' THEN data - 'attempt'
        WHEN 'calculation_invalidated'
            THEN (data - 'attempt') || jsonb_build_object('error_message', data -> 'reason')
        WHEN 'calculation_retry_scheduled' THEN data - 'attempt'
        ELSE data
    END
"""

_EVENTS = f"""
    SELECT id, tenant_id, entity_id, event_type, occurred_at, user_id, {_FACTS} AS facts,
           min(id) FILTER (WHERE event_type IN ('calculation_requested', 'calculation_started'))
               OVER (PARTITION BY entity_id, tenant_id ORDER BY id
                     ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS opened_at
      FROM event_logs
     WHERE id > %(after)s AND id <= %(upto)s AND event_type IN ({_TYPES})
"""

_GROUPED = f"""
    SELECT tenant_id, entity_id AS id,
           merge_payloads(facts ORDER BY id) AS facts,
           array_agg(event_type ORDER BY id) AS types,
           array_agg(user_id ORDER BY id)
               FILTER (WHERE event_type IN ('calculation_requested', 'calculation_started'))
               AS users,
           array_agg(occurred_at ORDER BY id) FILTER (WHERE event_type = 'calculation_started')
               AS starts,
           array_agg(occurred_at ORDER BY id) FILTER (WHERE event_type IN ({_ENDS})) AS ends,
           min(occurred_at) AS created_at, max(occurred_at) AS updated_at,
           max(id) AS last_position
      FROM ({_EVENTS}) AS happened
     WHERE id >= opened_at -- or known
     GROUP BY entity_id, tenant_id
"""

_OR_KNOWN = """
        OR EXISTS (SELECT FROM calculations_by_hand AS known
                    WHERE known.tenant_id = happened.tenant_id AND known.id = happened.entity_id)
"""

_STATUS = """
    CASE types[array_upper(types, 1)]
        WHEN 'calculation_requested' THEN 'pending'
        WHEN 'calculation_started' THEN 'running'
        WHEN 'calculation_completed' THEN 'completed'
        WHEN 'calculation_failed' THEN 'failed'
        WHEN 'calculation_lost' THEN 'lost'
        WHEN 'calculation_invalidated' THEN 'invalidated'
        ELSE 'pending'
    END
"""

_RECORD = """
    jsonb_to_record(facts) AS f (
        molecule_id uuid, batch_id uuid, attempt integer, method text, solvation_model text,
        optimization_level text, charge integer, multiplicity integer, program text,
        program_version text, xyz_sha256 text, energy float8, homo float8, lumo float8, gap float8,
        dipole float8, convergence_status text, wall_time_seconds float8, error_type text,
        error_message text, metadata jsonb, identity text, charge_source text,
        multiplicity_source text, warnings jsonb, geometry_source text, geometry_warning text,
        max_force float8, conformer_seed bigint)
"""

_CALCULATIONS = f"""
    SELECT tenant_id, id, molecule_id, batch_id, users{_LAST.format("users")} AS user_id,
           {_STATUS} AS status, attempt, method, solvation_model, optimization_level, charge,
           multiplicity, program, program_version, xyz_sha256, energy, homo, lumo, gap, dipole,
           convergence_status, wall_time_seconds AS execution_time_seconds,
           starts{_LAST.format("starts")} AS started_at, ends{_LAST.format("ends")} AS completed_at,
           error_type, error_message, metadata, created_at, updated_at, last_position, identity,
           charge_source, multiplicity_source, warnings, geometry_source, geometry_warning,
           max_force, conformer_seed
      FROM ({_GROUPED}) AS grouped, {_RECORD}
"""


def _kept(column: str, field: str | None = None) -> str:
    """The new value of a column, if the batch's facts have one, or else the old."""
    field = field or column
    return f"CASE WHEN grouped.facts ? '{field}' THEN f.{field} ELSE old.{column} END"


_COLUMNS = (
    "tenant_id, id, molecule_id, batch_id, user_id, status, attempt, method, solvation_model,"
    " optimization_level, charge, multiplicity, program, program_version, xyz_sha256, energy, homo,"
    " lumo, gap, dipole, convergence_status, execution_time_seconds, started_at, completed_at,"
    " error_type, error_message, metadata, created_at, updated_at, last_position, identity,"
    " charge_source, multiplicity_source, warnings, geometry_source, geometry_warning, max_force,"
    " conformer_seed"
)

CALCULATIONS_BATCH = f"""
    INSERT INTO calculations_by_hand ({_COLUMNS})
    SELECT grouped.tenant_id, grouped.id, f.molecule_id, f.batch_id,
           CASE WHEN users IS NOT NULL THEN users{_LAST.format("users")} ELSE old.user_id END,
           {_STATUS},
           {
    ", ".join(
        map(
            _kept,
            (
                "attempt",
                "method",
                "solvation_model",
                "optimization_level",
                "charge",
                "multiplicity",
                "program",
                "program_version",
                "xyz_sha256",
                "energy",
                "homo",
                "lumo",
                "gap",
                "dipole",
                "convergence_status",
            ),
        )
    )
},
           {_kept("execution_time_seconds", "wall_time_seconds")},
           coalesce(starts{_LAST.format("starts")}, old.started_at),
           coalesce(ends{_LAST.format("ends")}, old.completed_at),
           {_kept("error_type")}, {_kept("error_message")}, {_kept("metadata")},
           least(old.created_at, grouped.created_at), greatest(old.updated_at, grouped.updated_at),
           grouped.last_position, {_kept("identity")}, {_kept("charge_source")},
           {_kept("multiplicity_source")}, {_kept("warnings")}, {_kept("geometry_source")},
           {_kept("geometry_warning")}, {_kept("max_force")}, {_kept("conformer_seed")}
      FROM ({_GROUPED.replace("-- or known", _OR_KNOWN)}) AS grouped
      LEFT JOIN calculations_by_hand AS old
             ON old.tenant_id = grouped.tenant_id AND old.id = grouped.id,
           LATERAL {_RECORD}
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[2:])}
"""
"""Folds one batch, (after, upto], into `calculations_by_hand`, with the whole meaning."""

_MOLECULES = """
    SELECT tenant_id, id, created ->> 'smiles', created ->> 'name', created ->> 'formula',
           created ->> 'inchikey', (created ->> 'charge')::integer,
           (created ->> 'multiplicity')::integer, (created ->> 'molecular_weight')::float8,
           created ->> 'generation_method', (created ->> 'project_id')::uuid, user_id,
           created ->> 'toolkit', created ->> 'toolkit_version', completed, retracted, failed,
           created -> 'metadata', created_at, updated_at, last_position, created ->> 'identity',
           created ->> 'identity_key'
      FROM (SELECT tenant_id, key AS id,
                   merge_payloads(data ORDER BY position)
                       FILTER (WHERE event_type = 'molecule_created') AS created,
                   min(user_id::text) FILTER (WHERE event_type = 'molecule_created')::uuid
                       AS user_id,
                   count(*) FILTER (WHERE event_type = 'calculation_completed') AS completed,
                   count(*) FILTER (WHERE event_type = 'calculation_invalidated'
                                      AND data -> 'was_completed' = 'true') AS retracted,
                   count(*) FILTER (WHERE event_type = 'calculation_failed') AS failed,
                   min(occurred_at) AS created_at, max(occurred_at) AS updated_at,
                   max(position) AS last_position
              FROM (SELECT id AS position, tenant_id, event_type, user_id, occurred_at,
                           CASE WHEN event_type = 'molecule_created' THEN entity_id
                                ELSE (data ->> 'molecule_id')::uuid END AS key,
                           CASE WHEN event_type <> 'calculation_completed' THEN data END AS data
                      FROM event_logs
                     WHERE id > %(after)s AND id <= %(upto)s
                       AND event_type IN ('molecule_created', 'calculation_completed',
                                          'calculation_failed', 'calculation_invalidated')
                   ) AS happened
             GROUP BY key, tenant_id) AS grouped
     WHERE created IS NOT NULL
"""

_ATOMS = """
    SELECT tenant_id, entity_id, (ordinality - 1)::integer, atom ->> 0, (atom ->> 1)::integer,
           (atom ->> 2)::float8, (atom ->> 3)::float8, (atom ->> 4)::float8, (atom ->> 5)::float8,
           (atom ->> 6)::float8, (atom ->> 7)::float8, (atom ->> 8)::float8,
           occurred_at, occurred_at, id
      FROM (SELECT DISTINCT ON (entity_id, tenant_id)
                   id, tenant_id, entity_id, event_type, occurred_at, data
              FROM event_logs
             WHERE id > %(after)s AND id <= %(upto)s
               AND event_type IN ('calculation_completed', 'calculation_invalidated')
             ORDER BY entity_id, tenant_id, id DESC) AS latest,
           jsonb_array_elements(data -> 'atoms') WITH ORDINALITY AS atoms (atom, ordinality)
     WHERE event_type = 'calculation_completed'
"""

_EXECUTION_METRICS = """
    SELECT tenant_id, id, started ->> 'program_version', started ->> 'method',
           started ->> 'solvation_model', started ->> 'optimization_level', c.wall_time_seconds,
           c.cpu_time_seconds, c.scf_cycles, c.optimization_cycles, c.convergence_iterations,
           c.memory_peak_mb, c.is_converged, c.gradient_norm, c.stdout_log, c.stderr_log,
           created_at, updated_at, last_position
      FROM (SELECT tenant_id, entity_id AS id,
                   merge_payloads(data ORDER BY id)
                       FILTER (WHERE event_type = 'calculation_started') AS started,
                   merge_payloads(data ORDER BY id)
                       FILTER (WHERE event_type = 'calculation_completed') AS completed,
                   min(occurred_at) AS created_at, max(occurred_at) AS updated_at,
                   max(id) AS last_position
              FROM (SELECT id, tenant_id, entity_id, event_type, occurred_at,
                           CASE WHEN event_type = 'calculation_completed' THEN data - 'atoms'
                                ELSE data END AS data
                      FROM event_logs
                     WHERE id > %(after)s AND id <= %(upto)s
                       AND event_type IN ('calculation_started', 'calculation_completed')
                   ) AS happened
             GROUP BY entity_id, tenant_id) AS grouped
      LEFT JOIN LATERAL jsonb_to_record(completed) AS c (
               wall_time_seconds float8, cpu_time_seconds float8, scf_cycles integer,
               optimization_cycles integer, convergence_iterations integer, memory_peak_mb float8,
               is_converged boolean, gradient_norm float8, stdout_log text, stderr_log text) ON true
     WHERE started IS NOT NULL
"""

_ERRORS = """
    SELECT tenant_id, id, entity_id, f.molecule_id, f.error_type, f.error_severity,
           f.error_message, f.error_code, f.stack_trace, f.retry_count,
           nullif(f.retry_attempts, 'null'), f.user_action_required, NULL, NULL::timestamptz,
           occurred_at, occurred_at, id
      FROM event_logs,
           jsonb_to_record(data) AS f (
               molecule_id uuid, error_type text, error_severity text, error_message text,
               error_code text, stack_trace text, retry_count integer, retry_attempts jsonb,
               user_action_required boolean)
     WHERE id > %(after)s AND id <= %(upto)s AND event_type = 'calculation_failed'
"""

_BATCH_JOBS = """
    SELECT tenant_id, entity_id, data ->> 'name', user_id, 'processing', data -> 'parameters',
           data ->> 'source', (data ->> 'total_count')::integer, NULL::integer, NULL::integer,
           occurred_at, NULL::timestamptz, data -> 'metadata', occurred_at, occurred_at, id,
           (data ->> 'project_id')::uuid
      FROM event_logs
     WHERE id > %(after)s AND id <= %(upto)s AND event_type = 'batch_started'
"""

_BATCH_ITEMS = """
    SELECT tenant_id, batch_id, calculation_id, molecules[array_upper(molecules, 1)], NULL,
           CASE types[array_upper(types, 1)] WHEN 'calculation_started' THEN 'processing'
                WHEN 'calculation_completed' THEN 'completed' ELSE 'failed' END,
           failures, messages[array_upper(messages, 1)], created_at, updated_at, last_position,
           charges[array_upper(charges, 1)], multiplicities[array_upper(multiplicities, 1)]
      FROM (SELECT tenant_id, batch_id, entity_id AS calculation_id,
                   array_agg(molecule_id ORDER BY id) AS molecules,
                   array_agg(event_type ORDER BY id) AS types,
                   array_agg(message ORDER BY id)
                       FILTER (WHERE event_type <> 'calculation_completed') AS messages,
                   array_agg(charge_source ORDER BY id)
                       FILTER (WHERE event_type = 'calculation_started') AS charges,
                   array_agg(multiplicity_source ORDER BY id)
                       FILTER (WHERE event_type = 'calculation_started') AS multiplicities,
                   count(*) FILTER (WHERE event_type = 'calculation_failed') AS failures,
                   min(occurred_at) AS created_at, max(occurred_at) AS updated_at,
                   max(id) AS last_position
              FROM (SELECT id, tenant_id, entity_id, event_type, occurred_at, f.batch_id,
                           f.molecule_id, f.charge_source, f.multiplicity_source,
                           CASE event_type WHEN 'calculation_failed' THEN f.error_message
                                WHEN 'calculation_invalidated' THEN f.reason END AS message
                      FROM event_logs,
                           jsonb_to_record(data) AS f (
                               batch_id uuid, molecule_id uuid, error_message text, reason text,
                               charge_source text, multiplicity_source text)
                     WHERE id > %(after)s AND id <= %(upto)s
                       AND event_type IN ('calculation_started', 'calculation_completed',
                                          'calculation_failed', 'calculation_invalidated')
                   ) AS happened
             WHERE batch_id IS NOT NULL
             GROUP BY entity_id, batch_id, tenant_id) AS grouped
"""

_PERFORMANCE = """
    SELECT tenant_id, batch_id, started, NULL::timestamptz, workers, completed, failed, invalidated,
           timeouts, unconverged, untimed, coalesce(seconds, 0), least, most,
           coalesce(memory, 0), unmeasured, coalesce(cpu, 0), coalesce(errors, '{}'), created_at,
           updated_at, last_position
      FROM (SELECT tenant_id, batch_id,
                   min(occurred_at) FILTER (WHERE event_type = 'batch_started') AS started,
                   (array_agg(workers ORDER BY id DESC)
                       FILTER (WHERE event_type = 'batch_started'))[1] AS workers,
                   count(*) FILTER (WHERE event_type = 'calculation_completed') AS completed,
                   count(*) FILTER (WHERE event_type = 'calculation_failed') AS failed,
                   count(*) FILTER (WHERE event_type = 'calculation_invalidated') AS invalidated,
                   count(*) FILTER (WHERE error_type = 'timeout') AS timeouts,
                   count(*) FILTER (WHERE error_type = 'convergence_error') AS unconverged,
                   count(*) FILTER (WHERE wall IS NULL AND event_type IN
                       ('calculation_failed', 'calculation_invalidated')) AS untimed,
                   sum(wall) AS seconds,
                   min(wall::float8) AS least, max(wall::float8) AS most,
                   sum(memory) AS memory,
                   count(*) FILTER (WHERE memory IS NULL
                       AND event_type = 'calculation_completed') AS unmeasured,
                   sum(cpu) AS cpu,
                   min(occurred_at) AS created_at, max(occurred_at) AS updated_at,
                   max(id) AS last_position
              FROM (SELECT id, tenant_id, event_type, occurred_at, f.error_type, f.workers,
                           f.wall_time_seconds AS wall, f.memory_peak_mb AS memory,
                           f.cpu_time_seconds AS cpu,
                           CASE WHEN event_type = 'batch_started' THEN entity_id
                                ELSE f.batch_id END AS batch_id
                      FROM event_logs,
                           jsonb_to_record(data) AS f (
                               batch_id uuid, error_type text, workers integer,
                               wall_time_seconds numeric, memory_peak_mb numeric,
                               cpu_time_seconds numeric)
                     WHERE id > %(after)s AND id <= %(upto)s
                       AND event_type IN ('batch_started', 'calculation_completed',
                                          'calculation_failed', 'calculation_invalidated')
                   ) AS happened
             WHERE batch_id IS NOT NULL
             GROUP BY batch_id, tenant_id) AS grouped
      LEFT JOIN (SELECT batch, tenant, jsonb_object_agg(error_type, failures) AS errors
                   FROM (SELECT (data ->> 'batch_id')::uuid AS batch, tenant_id AS tenant,
                                data ->> 'error_type' AS error_type, count(*) AS failures
                           FROM event_logs
                          WHERE id > %(after)s AND id <= %(upto)s
                            AND event_type = 'calculation_failed'
                          GROUP BY 1, 2, 3) AS counted
                  GROUP BY batch, tenant) AS tallied
             ON batch = batch_id AND tenant = tenant_id
"""

_HOURLY = """
    SELECT tenant_id, data ->> 'metric_name', date_trunc('hour', occurred_at, 'UTC'),
           (array_agg(data ->> 'unit' ORDER BY id DESC))[1], count(*),
           min((data ->> 'value')::float8), max((data ->> 'value')::float8),
           sum((data ->> 'value')::numeric), min(occurred_at), max(occurred_at), max(id)
      FROM event_logs
     WHERE id > %(after)s AND id <= %(upto)s AND event_type = 'performance_metric'
     GROUP BY 1, 2, 3
"""

_METRICS = """
    SELECT tenant_id, id, f.metric_type, f.metric_name, f.value, f.unit, nullif(f.tags, 'null'),
           occurred_at, occurred_at, occurred_at, id
      FROM event_logs,
           jsonb_to_record(data) AS f (
               metric_type text, metric_name text, value float8, unit text, tags jsonb)
     WHERE id > %(after)s AND id <= %(upto)s AND event_type = 'performance_metric'
"""

SELECTS: Mapping[str, str] = {
    "calculations": _CALCULATIONS,
    "molecules": _MOLECULES,
    "atomic_properties": _ATOMS,
    "calculation_execution_metrics": _EXECUTION_METRICS,
    "calculation_errors": _ERRORS,
    "batch_jobs": _BATCH_JOBS,
    "batch_items": _BATCH_ITEMS,
    "batch_job_performance": _PERFORMANCE,
    "performance_metrics": _METRICS,
    "performance_metrics_hourly": _HOURLY,
}
"""The rows of tables as of `upto`, from nothing at `after`; by table."""


def make_by_hand(engine: Engine, name: str) -> float:
    """Make a table and the same indexes by hand; return the seconds that it took."""
    hand = f"{name}_by_hand"
    table = PROJECTIONS[name].table
    columns = [column.name for column in table.columns if column.computed is None]
    generated = [
        f'ADD "{column.name}" {column.type.compile(engine.dialect)}'
        f" GENERATED ALWAYS AS ({column.computed.sqltext}) STORED"
        for column in table.columns
        if column.computed is not None
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {hand}")
        rows = SELECTS[name] % {"after": 0, "upto": safe_head(connection)}
        indexes = [
            statement.replace(f" ON public.{name} ", f" ON {hand} ").replace(
                f"INDEX {index} ", f"INDEX by_hand_{index} "
            )
            for index, statement in connection.execute(
                text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :name"),
                {"name": name},
            )
        ]
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.exec_driver_sql(MAINTENANCE)
        named = ", ".join(f'"{column}"' for column in columns)
        connection.exec_driver_sql(f"CREATE TABLE {hand} ({named}) AS {rows}")
        if generated:
            connection.exec_driver_sql(f"ALTER TABLE {hand} {', '.join(generated)}")
        for statement in indexes:
            connection.exec_driver_sql(statement)
    return time.perf_counter() - began


def require_same_rows(engine: Engine, table: str, other: str) -> None:
    """Raise RuntimeError unless two tables have the same rows: both sides must do the same work."""
    columns = ", ".join(f'"{column.name}"' for column in PROJECTIONS[table].table.columns)
    one, two = (f"SELECT {columns} FROM {name}" for name in (table, other))
    with engine.connect() as connection:
        differ = connection.exec_driver_sql(
            f"SELECT count(*) FROM (({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})) x"
        ).scalar_one()
    if differ:
        raise RuntimeError(f"{table} and {other} differ in {differ} rows")
