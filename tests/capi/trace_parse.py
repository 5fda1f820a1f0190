"""Loads the traces that a program prints, and checks that they say what the format asks for and what the program did:
trace_parse.py PROGRAM."""

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict

ORDERS, BALLS, HOPS = 200, 8, 50
NAMES = ["first", 'quote " backslash \\ newline \n end', "café"]
FIELDS = {
    "M": {"name", "args"},
    "X": {"name", "cat", "ts", "dur", "args"},
    "i": {"name", "s", "ts"},
    "C": {"name", "id", "ts", "args"},
    "s": {"name", "cat", "id", "ts"},
    "f": {"name", "cat", "id", "ts", "bp"},
}


def ns(microseconds):
    return round(microseconds * 1000)


class Trace:
    def __init__(self, every, worker_bytes):
        program = [sys.argv[1], str(every), str(worker_bytes)]
        self.all = json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True).stdout.decode())
        self.events = self.all["traceEvents"]
        self.about = self.all["otherData"]
        self.by = defaultdict(list)
        for event in self.events:
            self.by[event["ph"]].append(event)
        self.check_fields()
        self.check_names()
        self.check_nesting()
        self.check_flows()

    def check_fields(self):
        assert len({event["pid"] for event in self.events}) == 1
        for event in self.events:
            assert set(event) == FIELDS[event["ph"]] | {"ph", "pid", "tid"}, event
            assert event.get("ts", 0) >= 0 and event.get("dur", 0) >= 0, event
        duration = int(self.about["duration_ns"])
        assert all(ns(event["ts"] + event.get("dur", 0)) <= duration for event in self.events if "ts" in event)
        start = int(self.about["start_unix_ns"]) / 1e9
        assert 0 <= time.time() - start < 120, "the start is now"
        assert self.about["start"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(start)))

    def check_names(self):
        named = {e["tid"]: e["args"]["name"] for e in self.by["M"] if e["name"] == "thread_name"}
        assert [e["args"]["name"][:11] for e in self.by["M"] if e["name"] == "process_name"] == ["ringkernel "]
        assert sorted(named.values()) == sorted(["host"] + [f"{name}, worker 0" for name in NAMES]), named
        assert all(event["tid"] in named for event in self.events if event["ph"] != "M")

    def check_nesting(self):
        """Slices of a thread lie within each other or apart, and handlers and sends within visits, but for a visit that was
        under way when the trace was started."""
        self.slices = defaultdict(list)
        for event in self.by["X"]:
            begin = ns(event["ts"])
            self.slices[event["tid"]].append((begin, begin + ns(event["dur"]), event))
        for thread in self.slices.values():
            thread.sort(key=lambda s: (s[0], -s[1]))
            around, visited = [], False
            for begin, end, event in thread:
                while around and around[-1][0] <= begin:
                    around.pop()
                assert not around or end <= around[-1][0], ("overlaps", event, around[-1])
                within = [e["cat"] for _, e in around]
                host = event["cat"] == "send" and event["name"] == "send"
                visited |= event["cat"] == "visit"
                assert within == ([] if event["cat"] == "visit" or host or not visited else ["visit"]), (event, within)
                around.append((end, event))

    def slice_at(self, thread, moment, category):
        found = [e for b, e_, e in self.slices[thread] if b <= moment <= e_ and e["cat"] == category]
        assert found, (thread, moment, category)
        return found

    def check_flows(self):
        """Both ends, once, forward in time, from a send to a handler of the same message."""
        starts = {e["id"]: e for e in self.by["s"]}
        ends = {e["id"]: e for e in self.by["f"]}
        assert len(starts) == len(self.by["s"]) and len(ends) == len(self.by["f"]) and starts.keys() == ends.keys()
        for number, start in starts.items():
            end = ends[number]
            assert start["ts"] <= end["ts"] and end["bp"] == "e", (start, end)
            senders = self.slice_at(start["tid"], ns(start["ts"]), "send")
            handlers = self.slice_at(end["tid"], ns(end["ts"]), "handler")
            if senders[0]["name"] != "send":
                stamps = {e["args"]["stamp"] for e in senders} & {e["args"]["stamp"] for e in handlers}
                assert stamps, (senders, handlers)

    def of(self, category, name=None):
        return [e for e in self.by["X"] if e["cat"] == category and name in (None, e["name"])]


# Everything.
whole = Trace(1, 1 << 20)
handled = Counter(event["name"] for event in whole.of("handler"))
assert handled == {"order": 3 * ORDERS, "ball": BALLS * (HOPS + 1)}, handled
sent = Counter(event["name"] for event in whole.of("send") if event["name"] != "send")
assert sent == {"send order": 3 * ORDERS, "send ball": BALLS * (HOPS + 1)}, sent
assert len(whole.by["s"]) == handled.total()
counts = {key: whole.about[key] for key in ("overwritten", "workers_left_out", "handlers_without_send", "sends_without_handler")}
assert set(counts.values()) == {0}, counts
assert sum(event["args"]["handled"] for event in whole.of("visit")) == handled.total()
assert sum(event["args"]["messages"] for event in whole.of("send", "send")) == ORDERS + BALLS
assert whole.about["recorded"] == handled.total() + sent.total() + len(whole.of("visit"))
assert len(whole.by["C"]) == len(whole.of("visit")) and not whole.by["i"]
assert {e["args"]["actor"] for e in whole.of("handler", "order")} == {f"{name}[0]" for name in NAMES}
assert {e["args"]["from"] for e in whole.of("handler", "order")} == {"host"}, "forwarded on behalf of the host"
assert {e["args"]["from"] for e in whole.of("handler", "ball")} == {"host"} | {f"{name}[0]" for name in NAMES}

# One message in four: requests are there whole or not at all.
some = Trace(4, 1 << 20)
requests = Counter(event["args"]["correlation"] for event in some.of("handler", "order"))
assert set(requests.values()) == {3} and ORDERS // 8 <= len(requests) <= ORDERS // 2, requests
assert requests == Counter(event["args"]["correlation"] for event in some.of("send", "send order"))
assert 0 < len(some.of("handler", "ball")) < handled["ball"] / 2
assert some.about["handlers_without_send"] == some.about["sends_without_handler"] == some.about["overwritten"] == 0

# The least memory: the newest events, and how many are lost.
little = Trace(1, 4096)
kept = len([e for e in little.by["X"] if e["name"] != "send"])
assert kept == len(NAMES) * 63 and little.about["overwritten"] == little.about["recorded"] - kept > 0, little.about
assert len(little.by["i"]) == len(NAMES), "each worker says so"
lost = sum(int(e["name"].split()[0]) for e in little.by["i"])
assert lost == little.about["overwritten"]

print(f"{len(whole.events)}, {len(some.events)} and {len(little.events)} events")
