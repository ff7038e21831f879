"""Charge and spin multiplicity as files state them: under many names, and as text.

docs/how-to/inputs.md lists the accepted forms.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from quantum_forge.runner.molecules.records import parse_charge, parse_multiplicity
from quantum_forge.schema.domains.calculations import ValueSource

_CHARGE = frozenset(
    f"{of}{name}"
    for of in ("", "total_", "total", "tot_", "net_", "overall_", "molecular_", "molecule_", "mol_")
    for name in ("charge", "chrg", "chg")
) | {"q", "qtot", "q_tot", "q_total", "total_q", "formal_charge", "system_charge", "charge_e"}
_MULTIPLICITY = frozenset(
    f"{of}{name}"
    for of in ("", "spin_", "spin", "molecular_", "total_")
    for name in ("multiplicity", "mult", "multip", "multi")
) | {"2s+1"}
_UNPAIRED = frozenset(
    {"uhf", "nopen", "unpaired", "unpaired_electrons", "n_unpaired", "nunpaired", "num_unpaired"}
) | {"number_of_unpaired_electrons", "n_unpaired_electrons", "2s", "spinpolarization"}
_SPIN = frozenset({"spin"})
_TOTAL_SPIN = frozenset({"s", "total_spin"})
_SPIN_STATE = frozenset({"spin_state", "electronic_state", "state_multiplicity"})
_MOMENT = frozenset({"magmom", "total_magmom", "magnetic_moment", "total_magnetization"})

_OTHER_THAN_TOTAL = re.compile(
    "partial|atomic|mulliken|gasteiger|hirshfeld|l(?:o|oe|ö)wdin|resp|physiolog|max|min|mean|average"
    "|count|charges|multiplicities|spins|source|density|densities|contamination|orbit|method"
)
"""Of columns and data items: charges and spins of atoms, and other quantities."""

_NOT_IN_TABLES = frozenset({"s"}) | _MOMENT
"""Names that a comment uses for the spin; in a table, sulfur or an entropy may have them."""

_NOT_STATED = frozenset({"none", "null"})

_LONE_LETTER = re.compile("[czm]")
"""Names that a comment may use: c and z for a charge, if it has a sign, m for a multiplicity."""

_WHOLE = re.compile(r"[-+\N{MINUS SIGN}]?\d{1,4}(?:\.0*)?|\d{1,2}[-+\N{MINUS SIGN}]")


class Stated(msgspec.Struct):
    """What a text states of charge (e) and multiplicity (2S + 1).

    `charge_unclear` and `multiplicity_unclear` say what it mentions of them that cannot be read.
    `spins` are values under names whose meaning depends on the electron count.
    """

    charge: int | None = None
    multiplicity: int | None = None
    charge_unclear: str | None = None
    multiplicity_unclear: str | None = None
    spins: list[tuple[str, str]] = []

    def is_empty(self) -> bool:
        """Whether it states or mentions nothing."""
        return self == Stated()

    def add(self, key: str, value: str) -> bool:
        """Add what a key says; return False for a key that is about something else.

        Raises:
            ValueError: for a value that is not one, or one that contradicts an earlier one.
        """
        name = _name_of_interest(key)
        if name is None:
            return False
        value = value.strip("\"'[]() \t,;")
        if name in ("q", "s") and not re.match(r"[-+\N{MINUS SIGN}]?\d", value):
            return False  # part of a SMILES such as S=C=O
        if _LONE_LETTER.fullmatch(name):
            if name == "m":
                if re.fullmatch("[1-9]", value):
                    self.multiplicity_unclear = (
                        f"has {key}={value}, which could be the multiplicity; write multiplicity="
                    )
            elif re.fullmatch(r"[-+\N{MINUS SIGN}]\d{1,2}|\d{1,2}[-+\N{MINUS SIGN}]", value):
                self.charge_unclear = f"has {key}={value}, which could be the charge; write charge="
            return False
        if name == "s" and not re.fullmatch(r"\d+(?:\.\d*|/2)?", value):
            return False
        if not value and name in _CHARGE:
            self.charge_unclear = f"has {name}= without a value; write charge="
        elif not value and (name in _MULTIPLICITY or name in _UNPAIRED or name in _SPIN):
            self.multiplicity_unclear = f"has {name}= without a value; write multiplicity="
        elif name in _CHARGE:
            if value.lower() == "neutral":
                self.add_charge(0)
            elif value.lower() not in _NOT_STATED:
                self.add_charge(parse_charge(value))
        elif name in _MULTIPLICITY:
            if value.lower() in _WORDS:
                self.add_multiplicity(_WORDS[value.lower()])
            elif value.lower() not in _NOT_STATED:
                self.add_multiplicity(parse_multiplicity(value))
        elif name in _UNPAIRED:
            if value.lower() not in _NOT_STATED:
                self.add_multiplicity(_of_unpaired(name, value))
        elif name in _SPIN or name in _TOTAL_SPIN:
            if value and value.lower() not in _NOT_STATED:
                self.spins.append((name, value))
        elif name in _MOMENT:
            self._add_moment(name, value)
        elif name in _SPIN_STATE and value.lower() in _WORDS:
            self.add_multiplicity(_WORDS[value.lower()])
        elif _WHOLE.fullmatch(value) or (
            value and name in _SPIN_STATE and value.lower() not in _NOT_STATED
        ):
            what = f"{key}={value} could be the charge or the spin; "
            if re.search("charge|chrg", name):
                self.charge_unclear = what + "write charge="
            else:
                self.multiplicity_unclear = what + "write multiplicity="
        else:
            return False
        return True

    def add_charge(self, charge: int) -> None:
        """Add a charge; raise ValueError when another one was stated before."""
        if self.charge not in (None, charge):
            raise ValueError(f"states two charges, {self.charge:+d} and {charge:+d}")
        self.charge = charge

    def add_multiplicity(self, multiplicity: int) -> None:
        """Add a multiplicity; raise ValueError when another one was stated before."""
        if self.multiplicity not in (None, multiplicity):
            raise ValueError(f"states two multiplicities, {self.multiplicity} and {multiplicity}")
        self.multiplicity = multiplicity

    def settle(self, nuclear_charge: int | None) -> None:
        """Decide what `spin` and `s` mean, when everything else is known.

        `spin` is the multiplicity, as in OMol25 and as this project writes; a value that does not
        fit the electrons, and would fit as 2S, is refused with both. `s` is refused where 2S + 1
        and S would differ.

        Args:
            nuclear_charge: sum of the atomic numbers; None where the atoms are not known.

        Raises:
            ValueError: for a value that may mean different multiplicities.
        """
        for name, value in self.spins:
            self.add_multiplicity(self._of_spin(name, value, nuclear_charge))
        self.spins = []
        if self.charge is not None:
            self.charge_unclear = None
        if self.multiplicity is not None:
            self.multiplicity_unclear = None

    def _of_spin(self, name: str, value: str, nuclear_charge: int | None) -> int:
        if half := re.fullmatch(r"(\d+)/2|(\d)\.50*", value):
            doubled = int(half[1]) if half[1] else 2 * int(half[2]) + 1
            return doubled + 1
        number = parse_charge(value)
        if number == 0:
            return 1
        if number < 0:
            raise ValueError(f"{name}={value} is not a spin; write multiplicity=")
        if name in _TOTAL_SPIN:
            if self.multiplicity in (number, 2 * number + 1):
                return self.multiplicity
            raise ValueError(
                f"{name}={value} may mean multiplicity {number} or S = {number} (multiplicity "
                f"{2 * number + 1}); write multiplicity="
            )
        if self.multiplicity in (number, number + 1, 2 * number + 1):
            return self.multiplicity
        if self.charge is not None and nuclear_charge is not None:
            electrons = nuclear_charge - self.charge
            if (electrons - (number - 1)) % 2:
                raise ValueError(
                    f"{name}={value} is read as the multiplicity 2S+1, which does not fit "
                    f"{electrons} electrons; if there are {number} unpaired electrons, write "
                    f"multiplicity={number + 1}"
                )
        return number

    def _add_moment(self, name: str, value: str) -> None:
        """A magnetic moment in Bohr magnetons counts unpaired electrons; 0 says nothing."""
        try:
            moment = abs(float(value))
        except ValueError:
            return
        if moment < 0.05:
            return
        if abs(moment - round(moment)) > 0.05 or moment > 100:
            self.multiplicity_unclear = (
                f"{name}={value} is not a number of unpaired electrons; write multiplicity="
            )
        else:
            self.add_multiplicity(round(moment) + 1)


@lru_cache(1_000)
def _name_of_interest(key: str) -> str | None:
    """Return a key as the sets above have it; None for one that is about something else."""
    name = re.sub(r"[\s_-]+", "_", key[:200].strip("\"'$%-* ").lower())
    name = re.sub(r"_?[(\[](?:e|au|a\.u\.|)[)\]]$", "", name)  # a unit
    known = _CHARGE | _MULTIPLICITY | _UNPAIRED | _SPIN | _TOTAL_SPIN | _MOMENT | _SPIN_STATE
    if name in known or _LONE_LETTER.fullmatch(name):
        return name
    if found := re.search("(?:^|_)((?:total|net|formal)_charge|spin_multiplicity)$", name):
        return found[1]  # of a vendor, as PUBCHEM_TOTAL_CHARGE
    if re.search("charge|chrg|multiplicity|unpaired|spin", name):
        return name
    return None


def is_about_a_molecule(key: str) -> bool:
    """Whether a column or data item of this name states, or may state, charge or spin."""
    name = _name_of_interest(key)
    return (
        name is not None
        and name not in _NOT_IN_TABLES
        and not _LONE_LETTER.fullmatch(name)
        and not _OTHER_THAN_TOTAL.search(name)
    )


def stated_by(items: Iterable[tuple[str, str]], nuclear_charge: int | None = None) -> Stated:
    """Return what named values state of a molecule: those of a row, or of data items.

    Args:
        items: names and values; empty values state nothing.
        nuclear_charge: sum of the atomic numbers; None where the atoms are not known.

    Raises:
        ValueError: for values that are none, or that contradict each other.
    """
    stated = Stated()
    for key, value in items:
        if value.strip() and is_about_a_molecule(key):
            stated.add(key, value)
    stated.settle(nuclear_charge)
    return stated


def is_assumed(source: str | None) -> bool:
    """Whether `charge_source` or `multiplicity_source`, of our own exports, says `assumed`."""
    return source is not None and source.strip().lower() == ValueSource.ASSUMED


def _of_unpaired(name: str, value: str) -> int:
    number = parse_charge(value)
    if number < 0:
        raise ValueError(f"{name}={value} is not a number of unpaired electrons")
    return number + 1


_WORDS = {
    word: number
    for number, word in enumerate(
        ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet"), start=1
    )
}

_NUMBER = r"[-+\N{MINUS SIGN}]?\d+(?:\.\d+)?(?:/2|[-+\N{MINUS SIGN}](?![\w.]))?(?![\w.]*\w)"
_STATEMENT = re.compile(
    r"""(?<![\w-])[-$%]{0,2}["']?
    (?P<key>
      (?:(?:total|net|overall|molecular|formal|system)[ _-]?)?(?:charge|chrg|chg)
      |(?:spin[ _-]?)?(?:multiplicity|multi|mult)|2S\+1
      |(?:number[ ]of[ ])?unpaired(?:[ _-]electrons?)?|uhf|nopen
      |spin
      |[qs](?=\s*["']?\s*[:=])
    )\b\.?["']?
    (?:\s*[:=]\s*|\s+(?:is|of)\s+|\s+)["']?
    (?P<value>"""
    + _NUMBER
    + r""")["']?""",
    re.IGNORECASE | re.VERBOSE,
)
_BLOCK = re.compile(
    r"(?:\*\s*xyz|\$molecule)\s+(?P<charge>[-+]?\d{1,2})\s+(?P<spin>\d{1,2})\b", re.I
)
_ORDINAL = re.compile(rf"(?<![\w-])(?:{'|'.join(_WORDS)})(?![\w])", re.I)
_MENTIONED_CHARGE = re.compile(
    r"(?<![^\W_])(?:charges?|charged|chrg|chg|(?:di|tri)?(?:anion|cation)(?:ic)?)(?![^\W_])"
    r"|(?<!\w)q\s*[:=]",
    re.I,
)
_MENTIONED_SPIN = re.compile(
    r"(?<![^\W_])(?:multiplicit(?:y|ies)|unpaired|uhf|spin)(?![^\W_])", re.I
)
_PAIR_OF_INTEGERS = re.compile(
    r"(?P<charge>[-+\N{MINUS SIGN}]?\d{1,4})(?P<between>\s*[,/:;]\s*|\s+)(?P<spin>[-+]?\d{1,4})"
    r"(?P<rest>(?:\s.*)?)"
)
_NUMBERS = re.compile(r"[-+\d.,eEdD\s\N{MINUS SIGN}]*")
_BRACKET_ATOM = re.compile(
    r"\[\d*(?:[A-Z][a-z]?|[a-z]{1,2})@{0,2}(?:H\d?)?([-+]+|[-+]\d{1,2})(?::\d+)?\]"
)
_LAST_SIGNED = re.compile(
    r"(?:^|[\s,;:])[(\[]?([-+\N{MINUS SIGN}]\d{1,2}|\d{1,2}[-+\N{MINUS SIGN}])[)\]]?[\s\0,;.]*$"
)
_SIGNED_WORD = re.compile(
    r"(?<=[\w\])])(?:"
    r"[\^ ]?[(\[](?:\d{1,2}[-+\N{MINUS SIGN}]|[-+\N{MINUS SIGN}]\d{1,2})[)\]]"  # SO4(2-)
    r"|\^(?:\d{0,2}[-+\N{MINUS SIGN}]|[-+\N{MINUS SIGN}]\d{1,2})"
    r"|(?<=[A-Za-z\])])\d{1,2}[-+\N{MINUS SIGN}])"  # sulfate2-
    r"(?=[\s,;.]|$)"
)
_SIGNED_FORMULA = re.compile(r"(?<!\S)((?:[A-Z][a-z]?\d*)+?)[\^ ]?(\d*[-+]|[-+]+)(?!\S)")


def stated_in(text: str, composition: Mapping[str, int] | None, stated: Stated) -> str:
    """Add what a free text states to `stated`, and return the rest of the text.

    Args:
        text: a comment, without its key=value pairs.
        composition: how many atoms there are of each element; None where they are not known.
        stated: what was found elsewhere; only what it lacks is looked for in numbers and words.

    Raises:
        ValueError: for statements that contradict each other or are not numbers.
    """
    if found := _BLOCK.search(text):
        stated.add_charge(int(found["charge"]))
        stated.add_multiplicity(int(found["spin"]))
        text = text[: found.start()] + text[found.end() :]
    for found in _STATEMENT.finditer(text):
        stated.add(found["key"], found["value"])
    text = _STATEMENT.sub(" ", text)
    if stated.is_empty():
        text = _stated_by_position(text.strip(), composition, stated)
    if stated.multiplicity is None and not stated.spins:
        words = {_WORDS[found.lower()] for found in _ORDINAL.findall(text)}
        if len(words) == 1:
            stated.multiplicity = words.pop()
        elif words:
            stated.multiplicity_unclear = "mentions several multiplicities; write multiplicity="
    if stated.charge is None:
        if found := _MENTIONED_CHARGE.search(text):
            stated.charge_unclear = f"mentions {found[0]!r} without a charge that can be read"
        else:
            stated.charge_unclear = (
                stated.charge_unclear
                or _sign_of(text, composition)
                or _last_signed(text)
                or _signed_word(text)
            )
        if stated.charge_unclear and "write" not in stated.charge_unclear:
            stated.charge_unclear += "; write charge= and multiplicity="
    if stated.multiplicity is None and (found := _MENTIONED_SPIN.search(text)):
        stated.multiplicity_unclear = (
            f"mentions {found[0]!r} without a multiplicity that can be read; write multiplicity="
        )
    return text


def _stated_by_position(text: str, composition: Mapping[str, int] | None, stated: Stated) -> str:
    """Read `-1 2`, the charge and the multiplicity, which a title may follow; return the title."""
    bracketed = re.fullmatch(r"\(([^()]*)\)|\[([^\[\]]*)\]", text)
    inner = text if bracketed is None else (bracketed[1] or bracketed[2] or "").strip()
    found = _PAIR_OF_INTEGERS.fullmatch(inner)
    hint = "; write charge= and multiplicity= (or name=)"
    if found is None:
        if re.fullmatch(r"[-+\N{MINUS SIGN}]\d", text):
            stated.charge_unclear = f"{text!r} could be a charge{hint}"
        elif re.search(r"(?:^|\s)[-+\N{MINUS SIGN}]\d\s+[1-9]$", text) and not _NUMBERS.fullmatch(
            text
        ):
            stated.charge_unclear = f"ends in what could be a charge and a multiplicity{hint}"
        elif re.fullmatch(r"[-+]?\d\.0*\s+[1-9](?:\.0*)?", text):
            stated.charge_unclear = f"{text!r} could be a charge and a multiplicity{hint}"
        return text
    charge, spin, rest = found["charge"], found["spin"], found["rest"].strip()
    is_signed = charge[0] in "-+\N{MINUS SIGN}"
    is_small = len(charge.lstrip("-+\N{MINUS SIGN}")) == 1 and re.fullmatch("[1-9]", spin)
    if not is_small:
        if is_signed and not rest and len(spin) < 3:
            stated.charge_unclear = f"{text!r} could be a charge and a multiplicity{hint}"
        return text
    if rest and (_NUMBERS.fullmatch(rest) or inner != text):
        return text
    if found["between"].strip() in ("/", ":", ";") and not (is_signed or charge == "0"):
        if not rest:
            stated.charge_unclear = f"{text!r} could be a charge and a multiplicity{hint}"
        return text
    if not rest or is_signed or charge == "0" or _composition(rest) == composition:
        stated.add_charge(parse_charge(charge))
        stated.add_multiplicity(int(spin))
        return rest
    stated.charge_unclear = (
        f"begins with {charge} {spin}, which could be the charge and the multiplicity{hint}"
    )
    return text


def _sign_of(text: str, composition: Mapping[str, int] | None) -> str | None:
    """Return what a charged SMILES, or a formula of these atoms with a sign, seems to say."""
    if atoms := _BRACKET_ATOM.findall(text):
        charge = sum(map(_signed, atoms))
        if charge:
            return f"has charges {charge:+d} in brackets"
    for formula, sign in _SIGNED_FORMULA.findall(text):
        for split in range(len(formula), 0, -1):
            # In `SO42-`, the 2 belongs to the charge.
            is_charge = split == len(formula) or formula[split:].isdigit()
            if is_charge and composition and _composition(formula[:split]) == composition:
                return f"has {formula}{sign}, a formula of these atoms with a sign"
    return None


def _last_signed(text: str) -> str | None:
    """Return what a signed whole number after words, as in `chloride -1`, seems to say."""
    found = _LAST_SIGNED.search(text)
    if found is None or _NUMBERS.fullmatch(text):
        return None
    return (
        f"ends in {found[1]}, which could be the charge; write charge= and multiplicity= (or name=)"
    )


def _signed_word(text: str) -> str | None:
    """Return what a number with a sign at the end of a word, as in `SO4(2-)`, seems to say."""
    found = _SIGNED_WORD.search(text)
    if found is None:
        return None
    return (
        f"has a word that ends in {found[0].strip()}, which could be the charge; write charge= and "
        "multiplicity= (or name=)"
    )


def _signed(text: str) -> int:
    if text[-1].isdigit():
        return int(text)
    return len(text) if text[0] == "+" else -len(text)


def _composition(formula: str) -> dict[str, int] | None:
    """Return the number of atoms of each element of a formula such as `CH4O`."""
    if len(formula) > 100 or not re.fullmatch(r"(?:[A-Z][a-z]?\d{0,4})+", formula):
        return None
    counts: dict[str, int] = {}
    for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        counts[symbol] = counts.get(symbol, 0) + int(count or 1)
    return counts
