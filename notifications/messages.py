"""Texts of messages: what happened, and what to do next."""

import shlex
from html import escape
from typing import Final

import msgspec

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.notifications.matters import one_line
from quantum_forge.schema.domains.notifications import (
    Matter,
    NotificationChannel,
    NotificationKind,
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message in each form. slack: as mrkdwn, the markup of Slack's webhooks."""

    subject: str
    text: str
    html: str
    slack: str


_SWITCH: Final = {
    NotificationKind.COMPLETION: "--no-completions",
    NotificationKind.FAILURE: "--no-failures",
    NotificationKind.GIVEN_UP: "--no-given-up",
    NotificationKind.REGRESSION: "--no-regressions",
}


def render(kind: NotificationKind, channel: NotificationChannel, matter: Matter) -> Message:
    """Return the message of a matter: the same each time."""
    matter = msgspec.structs.replace(
        matter,
        lines=[one_line(line) for line in matter.lines],
        batches=[one_line(name) for name in matter.batches],
    )
    subject = one_line(_subject(kind, matter))
    facts = [] if subject.endswith(tuple(matter.lines)) else list(matter.lines)
    more = matter.event_count - len(matter.lines)
    if more > 0 and matter.lines:
        facts.append(f"and {counted(more, 'other')}")
    tally = [f"{number:,} × {one_line(error)}" for error, number in sorted(matter.tally.items())]
    tally = tally if matter.event_count > 1 else []
    commands = _commands(kind, matter)
    end = (
        "You get this because of your preferences. To stop all of it, or this kind: "
        f"qforge users notifications --no-{channel}, or {_SWITCH[kind]}"
    )
    parts = [
        subject,
        "\n".join(f"  {line}" for line in tally),
        "\n".join(f"  {line}" for line in facts),
        "What to do next:\n" + "\n".join(f"  {command}" for command in commands),
        "-- \n" + end,
    ]
    return Message(
        subject=f"[qforge] {subject}",
        text="\n\n".join(part for part in parts if part) + "\n",
        html=_html(subject, tally, facts, commands, end),
        slack=_slack(subject, tally, facts, commands, end),
    )


def _subject(kind: NotificationKind, matter: Matter) -> str:
    number, line = matter.event_count, matter.lines[0] if matter.lines else ""
    batch = f" in batch {matter.batches[0]}" if len(matter.batches) == 1 else ""
    is_one = number == 1 and line != ""
    match kind:
        case NotificationKind.COMPLETION:
            return f"Batch completed: {line}" if is_one else f"{number:,} batches completed"
        case NotificationKind.FAILURE:
            return f"Failed{batch}: {line}" if is_one else f"{number:,} failures{batch}"
        case NotificationKind.GIVEN_UP:
            if is_one:
                return f"Given up{batch}: {line}"
            return f"{number:,} calculations were given up{batch}"
        case NotificationKind.REGRESSION:
            if is_one:
                return f"Calculations have become slower: {line}"
            return f"Calculations of {number:,} kinds have become slower"


def _commands(kind: NotificationKind, matter: Matter) -> list[str]:
    batches = [shlex.quote(name) for name in matter.batches]
    of = f" --batch {batches[0]}" if len(batches) == 1 else ""
    match kind:
        case NotificationKind.COMPLETION:
            return [*(f"qforge batches show {name}" for name in batches), "qforge retry --dry-run"]
        case NotificationKind.FAILURE:
            return [f"qforge calculations list{of} --status failed", "qforge retry --dry-run"]
        case NotificationKind.GIVEN_UP:
            return [
                f"qforge calculations list{of} --status failed",
                "qforge retry --max-retries 10 --dry-run",
            ]
        case NotificationKind.REGRESSION:
            return [
                "qforge metrics show --by version --since 30d",
                "qforge metrics show --by size --since 30d",
            ]


def _html(subject: str, tally: list[str], facts: list[str], commands: list[str], end: str) -> str:
    lists = "".join(
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        for lines in (tally, facts)
        if lines
    )
    return (
        f'<html><body style="font-family:sans-serif"><p><b>{escape(subject)}</b></p>{lists}'
        f"<p>What to do next:</p><pre>{escape(chr(10).join(commands))}</pre>"
        f'<p style="color:#666;font-size:smaller">{escape(end)}</p></body></html>\n'
    )


def _slack(subject: str, tally: list[str], facts: list[str], commands: list[str], end: str) -> str:
    lines = [*(f"• {line}" for line in (*tally, *facts))]
    code = "\n".join(commands).replace("```", "'''")
    # https://docs.slack.dev/messaging/formatting-message-text: these three have a meaning.
    text = "\n".join([subject, *lines, f"What to do next:\n```{code}```", end])
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
