"""`batchgen run`: from a manifest to a folder of videos."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import anyio
import click

from batchgen import events as ev
from batchgen import rehearse
from batchgen.app.planning import plan_for, refuse_nothing_selected, refuse_undecided, registry_estimate, scaled_seconds
from batchgen.app.target import Reply, Target, base_url_of, selection_of, settings_of
from batchgen.core.cost import Prices, money_of
from batchgen.core.gate import OpenPosts
from batchgen.core.latency import Latencies
from batchgen.core.outcome import Ending, exit_code
from batchgen.core.plan import Action, Plan, Selection, Step
from batchgen.core.polling import PollPolicy
from batchgen.engine.batch import Batch
from batchgen.engine.budget import Budget
from batchgen.engine.desk import Desk
from batchgen.engine.dispatch import Dispatcher
from batchgen.engine.notices import Notice, Notify
from batchgen.engine.signals import Signals, taking_signals
from batchgen.manifest import Manifest
from batchgen.records import Record
from batchgen.report.logfile import LogFile
from batchgen.report.progress import progress_for
from batchgen.report.summary import batch_json, batch_summary
from batchgen.report.watching import Tally
from batchgen.service.client import Service
from batchgen.service.download import Downloader, DownloadSettings
from batchgen.settings import OnNoCredit, Settings, keys_from
from batchgen.store.document import Header
from batchgen.store.ledger import Ledger, open_ledger
from batchgen.store.paths import path_from
from batchgen.store.videos import VideoFolder


@dataclass(frozen=True, slots=True)
class Voice:
    """How much a run shows while it works."""

    quiet: bool = False
    verbose: bool = False


def run(target: Target, voice: Voice) -> Reply:
    """Loads, plans, renders, reports. Raises a BatchgenError for what stops it before anything is sent."""
    manifest = target.load()
    selection = selection_of(target.options, manifest)
    return anyio.run(_run, target, manifest, selection, voice)


async def _run(target: Target, manifest: Manifest, selection: Selection, voice: Voice) -> Reply:
    async with taking_signals() as signals, _service_for(target, manifest) as settings:
        videos = VideoFolder(settings.output_dir, str(target.paths.state.resolve()))
        videos.prepare()
        identity = rehearse.IDENTITY if target.sandbox else settings.base_url
        header = Header(identity, path_from(manifest.path, target.paths.state.parent), manifest.sha256)
        async with open_ledger(target.paths, header) as ledger:
            plan = plan_for(manifest, ledger.records, selection, target.paths.state.parent)
            refuse_nothing_selected(plan, selection)
            refuse_undecided(plan)
            await _plan_down(ledger, plan)
            started = time.monotonic()
            with _watching(target, ledger.records, plan, voice) as notify:
                ending = await _render(ledger, settings, videos, plan, notify, signals)
        return _reply(target, ledger, plan, ending, time.monotonic() - started)


@asynccontextmanager
async def _service_for(target: Target, manifest: Manifest) -> AsyncIterator[Settings]:
    """The settings for the real service, or for a rehearsal that is served as long as this lasts."""
    if not target.sandbox:
        yield settings_of(target, manifest, base_url_of(target), keys_from(os.environ))
        return
    given = target.options
    latency = given.get("sandbox_latency")
    options = rehearse.options_from(
        {
            "rate_limit": given.get("rate_limit") or manifest.settings.get("rate_limit"),
            "latency": rehearse.EMBEDDED_LATENCY if latency is None else latency,
            "balance": given.get("sandbox_balance"),
            "faults": given.get("sandbox_faults") or (),
        }
    )
    async with rehearse.embedded(options, rehearse.service_folder(target.paths.state)) as base_url:
        settings = settings_of(target, manifest, base_url, (rehearse.KEY,))
        yield replace(settings, latency_scale=options.latency_scale)


async def _plan_down(ledger: Ledger, plan: Plan) -> None:
    """Writes every row that the state does not have yet, or has in another form that may be replaced."""
    now = ledger.now()
    events = [
        ev.Planned(id=r.id, at=now, model=r.model, input=r.input, input_sha256=r.input_sha256)
        for step in plan.steps
        if (r := step.run) and (step.record is None or step.action is Action.CHANGED)
    ]
    if events:
        await ledger.record_all(events)


@contextmanager
def _watching(target: Target, records: dict[str, Record], plan: Plan, voice: Voice) -> Iterator[Notify]:
    """Shows what happens on stderr, and writes it to the log file where one is asked for."""
    meant = {step.id for step in meant_by(plan)}
    terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    tally = Tally(records, meant)
    log_path = target.options.get("log_file")
    with ExitStack() as open_things:
        progress = open_things.enter_context(
            progress_for(tally, terminal=terminal, quiet=voice.quiet, verbose=voice.verbose)
        )
        log = open_things.enter_context(LogFile(log_path)) if log_path else None

        def notify(notice: Notice) -> None:
            progress(notice)
            if log:
                log(notice)

        yield notify
    if log and log.problem:
        click.echo(f"batchgen: the log ended early: {log.problem}", err=True)


async def _render(
    ledger: Ledger, settings: Settings, videos: VideoFolder, plan: Plan, notify: Notify, signals: Signals
) -> Ending:
    """Puts the parts together and lets the batch run."""
    prices = Prices(ledger.records.values(), registry_estimate)
    rng = random.Random()  # noqa: S311 - spreads requests, guards nothing
    wait = settings.on_no_credit is OnNoCredit.WAIT
    download = DownloadSettings(settings.base_url, connections=settings.download_concurrency)
    async with Service(settings.base_url) as service, Downloader(download, rng=rng) as downloader:
        desk = Desk(
            settings=settings,
            ledger=ledger,
            service=service,
            downloader=downloader,
            videos=videos,
            dispatcher=Dispatcher(
                settings.keys,
                settings.rate,
                notify,
                rng,
                wait_for_credit=wait,
                open_posts=OpenPosts.beginning_with(settings.concurrency),
            ),
            budget=Budget(settings.max_cost_micro_usd, money_of(ledger.records.values(), prices).counted),
            prices=prices,
            latencies=Latencies(ledger.records.values(), scaled_seconds(settings.latency_scale)),
            notify=notify,
            rng=rng,
            policy=PollPolicy(run_timeout_s=settings.run_timeout_s),
            downloads=anyio.CapacityLimiter(settings.download_concurrency),
        )
        batch = Batch(desk, plan)
        signals.hand_to(batch)
        return await batch.run()


def meant_by(plan: Plan) -> list[Step]:
    """The steps that the batch is about: rows of the manifest that were selected, and what was paid for before."""
    return [step for step in plan.steps if step.action not in (Action.UNSELECTED, Action.DROPPED)]


def _reply(target: Target, ledger: Ledger, plan: Plan, ending: Ending, seconds: float) -> Reply:
    """What happened, what it cost, and how to go on."""
    records = [ledger.records[step.id] for step in meant_by(plan)]
    unselected = [ledger.records[step.id] for step in plan.of(Action.UNSELECTED)]
    money = money_of(ledger.records.values(), Prices(ledger.records.values(), registry_estimate))
    commands = target.commands()
    return Reply(
        batch_summary(records, ending, money, seconds, commands, unselected),
        batch_json(records, ending, money, seconds, commands, unselected),
        exit_code(ending, records),
    )
