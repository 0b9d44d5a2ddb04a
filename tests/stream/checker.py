"""The independent checker: a dictionary that is told of every commit and believes none.

It keeps its own copy of the table and of the cursors, made from the source's own records, and
compares after every commit and at the end of every run. What it holds true (the numbers are those
of the tests that look at one of them):

I1   convergence: a run that says it is caught up leaves exactly the source's items.
I2   no delete is lost, no row resurrected: the table equals the copy after each commit and load.
I3   per key, applied sequence numbers strictly increase within a generation.
I4   nothing of a child shard is applied before its parent was committed to its end.
I5   cursors are never ahead of rows: both equal the copy after each commit.
I6   I7 I8: replays, interleavings and crashes end in the same table: the same end check as I1,
     after runs that were replayed, interleaved or cut.
I9   a shard is finished only if it is closed, a last page was seen, and nothing unread is lost.
I10  a segment is done only after a well-formed page without LastEvaluatedKey.
I11  read = applied + superseded + duplicate + unchanged + quarantined, in every round.
I12  a run that ends well has lost nothing; one that needs a person says so in the state.
I13  every shard belongs to the stream that was planned, and at the end it still is the table's.
I14  a commit whose `since` is not where the table stands, or of an old plan, is never accepted.
I17  values that are in the table never change by themselves: it equals the copy after each commit.
I20  one commit holds no more records than the configuration allows; memory itself: tests/kill.
I21  read units stay below the configured rate.
I22  no shard has two readers at once.
I24  consistent_since is said once, and when it is, everything up to the scan's end is in the table.
I25  only reading operations are called, and no iterator starts at LATEST.

Runs here know one version of the state, so I23 is test_81 here and in tests/destinations. I15, I16,
I18 and I19 are not about streams: tests/core, tests/destinations and tests/cli.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.rigs.scripted import ScriptedDynamoDB

from .claims import SHARD, Generation, Move, Place, Tally, require
from .traffic import Traffic
from .truth import OVERLAP, Fact, Item, Key, Ledger, Written

PAGE = 1000


@dataclass
class Checker:
    """Told of plans, commits, loads and ends by the witness; raises Violation."""

    rig: ScriptedDynamoDB
    batch_records: int = 50_000
    readers: int = 1
    max_read_units: float | None = None
    runs_at_once: int = 1
    generation: Generation | None = None
    rows: dict[Key, Item] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    began_after: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.rig)
        self.traffic = Traffic(self.rig)

    @property
    def now_is(self) -> Generation:
        """The generation of the newest plan."""
        assert self.generation is not None
        return self.generation

    # Plans and commits

    def planned(self, plan: Any) -> None:
        """A plan was stored."""
        before = self.generation.plan_id if self.generation else None
        require(plan.replaces == before, "I14", "a plan replaced another than the newest")
        self.generation = Generation(
            plan_id=plan.plan_id,
            table=plan.table,
            stream_arn=plan.identity.stream_arn,
            table_id=plan.identity.table_id,
            planned_at=plan.planned_at.timestamp(),
            places={name: (c.token, c.done) for name, c in plan.cursors.items()},
        )

    def committed(
        self,
        plan_id: str,
        moves: Iterable[Move],
        rows: Iterable[Written],
        quarantined: set[int],
        consistent_since: datetime | None,
        forgotten: Iterable[str],
    ) -> None:
        """A batch was stored."""
        self.tally.commits += 1
        now = self.now_is
        require(plan_id == now.plan_id, "I14", "a commit of another plan was accepted")
        moves = list(moves)
        for move in moves:
            known = now.places.get(move.partition)
            require(known == move.since, "I14", f"{move} was accepted at {known}")
        newest = self._fold(moves, quarantined)
        for move in moves:
            self._check_end(move)
            now.places[move.partition] = move.until
        self._check_rows(newest, {row.key: row for row in rows})
        for name in forgotten:
            require(now.places.pop(name)[1], "I9", f"{name} was forgotten before its end")
        if consistent_since is not None:
            self._check_consistent(consistent_since)

    def _fold(self, moves: list[Move], quarantined: set[int]) -> dict[Key, Fact]:
        """The newest record of each key that these moves step over."""
        facts = sorted(
            (fact for move in moves for fact in self._stepped(move)), key=lambda fact: fact.number
        )
        self.tally.records += len(facts)
        most = self.batch_records + self.readers * PAGE
        require(len(facts) <= most, "I20", f"{len(facts)} records in one commit")
        newest: dict[Key, Fact] = {}
        for fact in facts:
            if fact.key is None or not fact.numbered:
                dropped = fact.numbered and fact.number not in quarantined
                require(not dropped, "P12", f"{fact} was dropped")
            elif self._needed(fact) and not fact.idle:
                newest[fact.key] = fact
        for fact in newest.values():
            there = fact.number in quarantined
            require(there is not fact.sound, "P12", f"{fact} was {'' if there else 'not '}kept")
        return newest

    def _needed(self, fact: Fact) -> bool:
        return int(fact.at) >= self.now_is.planned_at - OVERLAP

    def _stepped(self, move: Move) -> list[Fact]:
        before = move.since[0] if move.since else None
        if not move.partition.startswith(SHARD) or before == move.until[0]:
            return []
        start, end = int(before or -1), int(move.until[0] or -1)
        require(end > start, "I3", f"{move} goes back")
        self._check_parent(move)
        return self.ledger.between(self.now_is.stream_arn, move.shard, start, end)

    def _check_parent(self, move: Move) -> None:
        now = self.now_is
        shards = self.ledger.stream(now.stream_arn).shards
        require(move.shard in shards, "I13", f"{move.shard} is of another stream")
        parent = shards[move.shard].parent
        if parent is None:
            return
        place = now.places.get(SHARD + parent)
        closed_at = shards[parent].closed_at or 0.0
        past = place[1] if place else closed_at <= now.planned_at
        require(past or closed_at < self.rig.clock.now() - 48 * 3600, "I4", f"{move} too early")

    def _check_end(self, move: Move) -> None:
        """A shard may be finished only where that loses nothing."""
        if not move.partition.startswith(SHARD) or not move.until[1]:
            return
        if move.since is not None and move.since[1]:
            return
        shard = self.ledger.shard(self.now_is.stream_arn, move.shard)
        require(not shard.is_open, "I9", f"{move.shard} is open, and was finished")
        unread = self.ledger.after(self.now_is.stream_arn, move.shard, int(move.until[0] or -1))
        lost = [fact for fact in unread if self._needed(fact)]
        require(not lost, "I9", f"{move.shard} was finished before {lost[:1]}")
        gone = not shard.resolves or (shard.closed_at or 0) <= self.rig.clock.now() - 24 * 3600
        require(gone or self.traffic.saw_end(move.shard), "I9", f"{move.shard} had no last page")
        require(
            gone or self.traffic.saw_closed(move.shard), "I9", f"{move.shard} was not listed closed"
        )

    def _check_rows(self, newest: Mapping[Key, Fact], rows: Mapping[Key, Written]) -> None:
        now = self.now_is
        require(
            rows.keys() == newest.keys(), "I11", f"rows of {rows.keys() ^ newest.keys()} are wrong"
        )
        for key, fact in newest.items():
            require(fact.number > now.last.get(key, -1), "I3", f"{fact} was applied late")
            item = rows[key].item
            require(item in self._right(fact), "I1", f"{rows[key]} is not {fact}")
            now.last[key] = fact.number
            now.touched.add(key)
            if item is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = item

    def _right(self, fact: Fact) -> list[Item | None]:
        """What a row may be after a record: what it says, or, if it was looked up, what came later.

        After a stream was switched off, what came later is in no stream.
        """
        arn = self.now_is.stream_arn
        if not self.ledger.looked_up(arn):
            return [fact.item]
        right = self.ledger.since(fact, arn)
        if self.ledger.stream(arn).disabled_at is not None and fact.key is not None:
            right.append(self.ledger.items(self.now_is.table).get(fact.key))
        return right

    def _check_consistent(self, since: datetime) -> None:
        now = self.now_is
        until = now.scanned_until
        require(until is not None, "I24", "a table is consistent before it is loaded")
        assert until is not None
        for fact in self._unread():
            require(fact.at >= until.timestamp(), "I24", f"consistent without {fact}")

    def _unread(self) -> Iterator[Fact]:
        """Records that the plan promised, and no cursor has passed."""
        now = self.now_is
        for shard in self.ledger.by_shard(now.stream_arn):
            token, done = now.places.get(SHARD + shard, (None, False))
            if done or (SHARD + shard not in now.places and self._ended_long_ago(shard)):
                continue
            for fact in self.ledger.after(now.stream_arn, shard, int(token or -1)):
                if fact.at >= now.planned_at and fact.numbered:
                    yield fact

    def _ended_long_ago(self, shard: str) -> bool:
        closed_at = self.ledger.shard(self.now_is.stream_arn, shard).closed_at
        return closed_at is not None and closed_at < self.rig.clock.now() - 48 * 3600

    # Loads

    def loaded(
        self, plan_id: str, rows: Iterable[Written], partitions: Iterable[str], until: datetime
    ) -> None:
        """A scan was stored: it fills what the stream has not written, and clears older rows."""
        now = self.now_is
        require(plan_id == now.plan_id and not now.loaded, "I14", "a second load was accepted")
        scanned: dict[Key, Written] = {}
        for row in rows:
            if row.key not in scanned or scanned[row.key].at <= row.at:
                scanned[row.key] = row
        for partition in partitions:
            self._check_segment(partition)
            now.places[partition] = (now.places[partition][0], True)
        kept = {key: item for key, item in self.rows.items() if key in now.touched}
        fresh = {key: row.item for key, row in scanned.items() if key not in now.touched}
        self.rows = kept | {key: item for key, item in fresh.items() if item is not None}
        now.loaded, now.scanned_until = True, until

    def _check_segment(self, partition: str) -> None:
        number = int(partition.removeprefix("segment/").partition("-")[0])
        seen = self.traffic.saw_segment_end(number, self.now_is.planned_at)
        require(seen, "I10", f"{partition} is done, but its last page was never seen")

    # States and ends

    def compare(
        self, rows: Mapping[Key, Item], places: Mapping[str, Place], since: datetime | None
    ) -> None:
        """The table, its cursors and consistent_since, read back after a commit."""
        now = self.now_is
        require(now.consistent_since in (None, since), "I24", f"{since}: {now.consistent_since}")
        now.consistent_since = since
        different = [key for key in {*rows, *self.rows} if rows.get(key) != self.rows.get(key)]
        require(not different, "I2 I5 I17", f"{_shown(different, rows, self.rows)}")
        own = {name: place for name, place in self.now_is.places.items() if SHARD in name}
        shards = {name: place for name, place in places.items() if SHARD in name}
        require(shards == own, "I5", f"cursors {shards} are not {own}")

    def began(self) -> None:
        """A run begins: what is written by now is what it must bring."""
        self.began_after = self.rig.numbers.last()

    def counted(self, counts: Mapping[str, int]) -> None:
        """The counts of one round."""
        parts = sum(count for name, count in counts.items() if name != "read")
        require(counts["read"] == parts, "I11", f"{counts} do not add up")

    def ended(self, error: BaseException | None, caught_up: bool, problem: str | None) -> None:
        """A run ended; `problem` is what the state says."""
        self.tally.runs += 1
        self.traffic.check(self.runs_at_once, self.max_read_units)
        if error is not None:
            if getattr(error, "exit_code", 0) == 3:
                self.tally.gaps += 1
                require(bool(problem), "I12", f"the state does not say {error!r}")
            return
        now = self.now_is
        require(problem is None, "I12", f"the run ended well, and the state says {problem}")
        if not caught_up:
            return
        unread = list(self._unread())
        lost = [fact for fact in unread if fact.number <= self.began_after]
        require(not lost, "I12", f"{lost[:1]} was never read, and the run ended well")
        # What was written while the run went on may come with the next one.
        source, later = self.ledger.items(now.table), {fact.key for fact in unread}
        keys = {*source, *self.rows} - later
        different = [key for key in keys if source.get(key) != self.rows.get(key)]
        require(not different, "I1", _shown(different, self.rows, source))
        model = self.rig.model(now.table)
        require(model.id == now.table_id, "I13", "the table is another one")
        require(model.stream.arn == now.stream_arn, "I13", "the stream is another one")
        require(model.streaming, "I12", "the stream is switched off, and the run ended well")


def _shown(keys: list[Key], have: Mapping[Key, Item], want: Mapping[Key, Item]) -> str:
    first = sorted(keys)[:3]
    return "; ".join(f"{key}: {have.get(key)} is not {want.get(key)}" for key in first)
