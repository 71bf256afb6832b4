"""Ten thousand damaged and hostile states and journals: each is the true one, or refused with exit code 5."""

from __future__ import annotations

import json
import random
import zlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio

from batchgen import events as ev
from batchgen.core.lifecycle import apply
from batchgen.errors import StateProblem
from batchgen.records import Failure, Record, SavedFile, sha256_of
from batchgen.store.document import Document, Header, encode_document
from batchgen.store.journal import encode_line, event_line
from batchgen.store.ledger import open_ledger, read_state
from batchgen.store.paths import StatePaths
from tests.soak.figures import Figures, Order
from tests.soak.fuzz import assert_harmless, broken_bytes, cases, command

FULL = 10_000
SHOTS = "id,prompt,resolution,duration\n" + "".join(f"r{n},Prompt {n},480p,4\n" for n in range(8))
RUN_SHARE = 0.03
ENDINGS = frozenset({0, 1, 2, 4, 5})
AT = "2026-05-04T10:00:00.000Z"


def soak(order: Order) -> Figures:
    """Damages states and journals, by bytes and by meaning, and reads them with all that reads a state."""
    seen = cases(order, FULL, one)
    return Figures(
        f"{order.count(FULL):,} damaged or hostile states and journals", f"0 tracebacks, 0 wrong: {seen.words}"
    )


def one(rng: random.Random, folder: Path) -> str:
    """One state, read by the store and by every command that looks at it."""
    (folder / "shots.csv").write_text(SHOTS, encoding="utf-8")
    paths = StatePaths(folder / "shots.sandbox.state.json")
    header, state, events = _truth(rng)
    way = rng.choice((_bytes, _bytes, _values, _values, _values, _rewritten, _lines, _lines))
    true_states = way(rng, paths, header, state, events)
    found = _read(paths)
    if true_states is not None and found is not None:
        assert found.records in true_states, "a wrong state was taken for the true one"
    said = [command(word, str(folder / "shots.csv"), "--sandbox", *more) for word in ("status", "plan") for more in _AS]
    said.append(command("resolve", str(folder / "shots.csv"), "--sandbox"))
    codes = {each.code for each in said}
    assert codes <= ENDINGS, codes
    assert (5 in codes) == (found is None), (codes, found)
    for each in said:
        assert_harmless(each.out, each.err)
        assert len(each.err) < 5000
    if found is None and rng.random() < RUN_SHARE:
        _refused_by_run(folder, paths)
    anyio.run(_opened, paths, found is not None)
    return f"{'read' if found else 'refused'} ({way.__name__.strip('_')})"


_AS = ((), ("--json",))


def _refused_by_run(folder: Path, paths: StatePaths) -> None:
    """`run` leaves with 5, has sent nothing, and has left both files as they were for whoever mends them."""
    files = [path for path in (paths.state, paths.journal) if path.exists()]
    before = [path.read_bytes() for path in files]
    said = command("run", str(folder / "shots.csv"), "--sandbox", "--sandbox-latency", "0")
    assert said.code == 5, said
    assert_harmless(said.out, said.err)
    assert [path.read_bytes() for path in files] == before
    books = folder / "shots.sandbox.service" / "ledger.jsonl"
    assert not books.exists() or '"run"' not in books.read_text()


def _read(paths: StatePaths) -> Document | None:
    try:
        return read_state(paths) or Document(Header(None, "", ""), {})
    except StateProblem:
        return None


async def _opened(paths: StatePaths, readable: bool) -> None:
    """Whatever can be read can be opened, folded and read again; whatever cannot be is left as it is."""
    before = paths.state.read_bytes() if paths.state.exists() else None
    try:
        async with open_ledger(paths) as ledger:
            held = dict(ledger.records)
    except StateProblem:
        assert (paths.state.read_bytes() if paths.state.exists() else None) == before
        return
    assert readable
    again = read_state(paths)
    assert again is not None
    assert again.records == held


# What is true ------------------------------------------------------------------------------------------------------


def _truth(rng: random.Random) -> tuple[Header, dict[str, Record], list[ev.Event]]:
    """A header, records in every status, and events that follow from them."""
    records: dict[str, Record] = {}
    for number in range(8):
        life = _life(f"r{number}", number)
        for event in life[: rng.randint(0, len(life))]:
            records[event.id] = apply(records.get(event.id), event)
    header = Header("sandbox", "shots.csv", "0" * 64, AT, rng.randint(1, 3))
    events: list[ev.Event] = []
    after = dict(records)
    for number in range(8):
        life = _life(f"r{number}", number)
        held = after.get(f"r{number}")
        rest = list(life[_done(life, held) :]) if held is None or held.status != "failed" else []
        for event in rest[: rng.randint(0, len(rest))]:
            after[event.id] = apply(after.get(event.id), event)
            events.append(event)
    return header, records, events


def _done(life: list[ev.Event], held: Record | None) -> int:
    """How many events of a life lead to this record."""
    record: Record | None = None
    for count, event in enumerate(life):
        if record == held:
            return count
        record = apply(record, event)
    return len(life)


def _life(name: str, number: int) -> list[ev.Event]:
    given = {"prompt": f"Prompt {number}", "resolution": "480p", "duration": "4"}
    failure = Failure("http_500", "Words of a service")
    planned = ev.Planned(id=name, at=AT, model="bytedance/seedance-1.5-pro", input=given, input_sha256=sha256_of(given))
    begun = [planned, ev.Intended(id=name, at=AT, key="sha256:00000000")]
    created = [*begun, ev.Created(id=name, at=AT, run_id=f"run_{number}", cost_micro_usd=48000)]
    film = SavedFile(f"videos/sandbox/{name}.mp4", 1000 + number, "0" * 64)
    rendered = [*created, ev.Succeeded(id=name, at=AT, cost_micro_usd=48000)]
    endings: tuple[list[ev.Event], ...] = (
        [*rendered, ev.Downloaded(id=name, at=AT, files=(film,))],
        [*begun, ev.Doubted(id=name, at=AT, failure=failure, body="half an answer")],
        [*created, ev.Failed(id=name, at=AT, failure=failure, refunded=True)],
        [*rendered, ev.Noted(id=name, at=AT, failure=failure)],
        [*begun, ev.NotCreated(id=name, at=AT, failure=failure)],
        [*begun, ev.Rejected(id=name, at=AT, failure=failure)],
    )
    return endings[number % len(endings)]


def _journal(generation: int, events: list[ev.Event]) -> bytes:
    head = encode_line({"format": "batchgen-journal", "version": 1, "generation": generation})
    return head + b"".join(map(event_line, events))


# The ways in which it goes wrong: each writes the files, and gives the states that may come of them, or None for any


TrueStates = list[dict[str, Record]] | None


def _bytes(
    rng: random.Random, paths: StatePaths, header: Header, records: dict[str, Record], events: list[ev.Event]
) -> TrueStates:
    """Damage to the bytes of one of the two files: the truth, or a refusal."""
    state, journal = b"".join(encode_document(header, records)), _journal(header.generation, events)
    torn = rng.random() < 0.5
    paths.state.write_bytes(state if torn else broken_bytes(rng, state))
    paths.journal.write_bytes(broken_bytes(rng, journal) if torn else journal)
    states = [dict(records)]
    for event in events:
        states.append({**states[-1], event.id: apply(states[-1].get(event.id), event)})
    # The end of a journal behind its last mark may be torn; here no mark says that any of it had counted.
    return states if torn else states[-1:]


def _values(
    rng: random.Random, paths: StatePaths, header: Header, records: dict[str, Record], _events: list[ev.Event]
) -> TrueStates:
    """A state that is well formed, and whose checksum is right, but that nobody could have written."""
    value = json.loads(b"".join(encode_document(header, records)))
    del value["checksum"]
    for _ in range(rng.randint(1, 3)):
        _mangle(rng, value)
    lines = ",\n".join(f"{_spelled(rng, name)}:{_spelled(rng, row)}" for name, row in _items(value.pop("runs", {})))
    head = _spelled(rng, value)
    text = f'{head[:-1]},"runs":{{\n{lines}\n}},'.encode("utf-8", "surrogatepass")
    paths.state.write_bytes(text + b'\n"checksum":"crc32:%08x"}\n' % zlib.crc32(text))
    return None


def _rewritten(
    rng: random.Random, paths: StatePaths, header: Header, records: dict[str, Record], events: list[ev.Event]
) -> TrueStates:
    """A state that another program has written anew, not as it was."""
    value = json.loads(b"".join(encode_document(header, records)))
    for _ in range(rng.randint(0, 2)):
        _mangle(rng, value)
    text = _spelled(rng, value, indent=rng.choice((None, 1, 2)))
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32"))
    paths.state.write_bytes(text.encode(encoding, "surrogatepass"))
    if rng.random() < 0.3:
        paths.journal.write_bytes(_journal(rng.choice((0, header.generation, header.generation)), events))
    return None


def _lines(
    rng: random.Random, paths: StatePaths, header: Header, records: dict[str, Record], events: list[ev.Event]
) -> TrueStates:
    """A journal whose lines have right checksums and wrong contents: events that cannot be or cannot follow."""
    paths.state.write_bytes(b"".join(encode_document(header, records)))
    head: dict[str, Any] = {"format": "batchgen-journal", "version": 1, "generation": header.generation}
    values = [head, *(ev.to_json(event) for event in events or _life("r9", 0))]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(values))
        change = rng.randrange(5)
        if change == 0:
            values.insert(at, values[rng.randrange(len(values))])
        elif change == 1:
            del values[at]
            values = values or [head]
        elif change == 2:
            values[at] = {"event": rng.choice([*ev.EVENTS, "unknown", ""]), "id": "r1", "at": AT}
        else:
            values[at] = json.loads(json.dumps(values[at]))
            _mangle(rng, values[at])
    paths.journal.write_bytes(b"".join(_line(_spelled(rng, value)) for value in values))
    return None


def _line(text: str) -> bytes:
    body = text.encode("utf-8", "surrogatepass")[:-1]
    return b'%s,"crc32":"%08x"}\n' % (body, zlib.crc32(body))


# JSON that is mangled in its meaning -------------------------------------------------------------------------------

_DEEP, _HUGE, _TWICE, _LONG = "@deep@", "@huge@", "@twice@", "@long@"
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -48000, 2**31, 2**63, 10**30, 1.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", " ", "x", "x" * 2000, "\x00", "\x1b[31m", "\u202e", "\x9b2J", "\ud800", "run_1", "é", "pending", "in_doubt"),
    *("../../etc/passwd", "/etc/passwd", "/dev/zero", "C:\\x", "a\0b", "n" * 300, "9999-99-99", "-1", "downloaded"),
    *([], {}, [[]], [None], {"": ""}, {"code": 1, "message": []}, {"code": "x"}, [{"path": "/etc/passwd"}]),
    *([{"path": "/etc/passwd", "bytes": 1, "sha256": ""}], [{"path": 1, "bytes": "x", "sha256": None}]),
    *(_DEEP, _HUGE, _LONG, {_TWICE: 1, "x": 2}),
)


def _mangle(rng: random.Random, value: Any) -> None:
    """Changes one thing somewhere in a JSON value."""
    holders = [holder for holder in _holders(value) if holder]
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    change = rng.randrange(6)
    if change == 0:
        del holder[key]
    elif change == 1 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "run_id", "status", "\x1b[2J", key + "x"))] = holder.pop(key)
    elif change == 2 and isinstance(holder, dict):
        holder[f"{key}{_TWICE}"] = deepcopy(holder[key])
    elif change == 3:
        other = rng.choice(holders)
        holder[key] = json.loads(json.dumps(other[rng.choice(list(other) if isinstance(other, dict) else [0])]))
    else:
        holder[key] = deepcopy(rng.choice(_ODD))  # it is mangled itself later on, and must not be so for the next case


def _holders(value: Any) -> list[Any]:
    found, waiting = list[Any](), [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list):
            found.append(item)
            waiting += item.values() if isinstance(item, dict) else item
    return found


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("r0", value)]


def _spelled(rng: random.Random, value: Any, indent: int | None = None) -> str:
    """The JSON text, with what `json.dumps` cannot write: depth, digits without end, and keys that stand twice."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    depth = rng.choice((60, 400, 900, 960, 990, 5000))
    replaced = (
        (f'"{_DEEP}"', "[" * depth + "]" * depth),
        (f'"{_HUGE}"', "9" * rng.choice((400, 5000))),
        (_LONG, "x" * 3_000_000),
        (_TWICE, ""),
    )
    for mark, instead in replaced:
        text = text.replace(mark, instead)
    return text
