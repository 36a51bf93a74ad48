from __future__ import annotations

import io
import json
import re

from xraycodec.errors import CorruptImageError
from xraycodec.gateway.instance import identify
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters, gauge


def test_a_line_is_one_object_with_time_and_level() -> None:
    stream = io.StringIO()
    log = Log(stream, "info", b"key", clock=lambda: 1.5)
    log.debug("nothing")
    log.warning("something", count=3, text='a "quote"\n')
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "warning",
        "event": "something",
        "count": 3,
        "text": 'a "quote"\n',
    }


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    Log(stream, "info", b"key").error("event")


def test_pseudonyms_depend_on_the_key() -> None:
    one, other = (Log(io.StringIO(), "info", key) for key in (b"one", b"other"))
    assert re.fullmatch("[0-9a-f]{16}", one.pseudonym("1.2.3"))
    assert one.pseudonym("1.2.3") == one.pseudonym("1.2.3")
    assert one.pseudonym("1.2.3") != one.pseudonym("1.2.4")
    assert one.pseudonym("1.2.3") != other.pseudonym("1.2.3")


def test_errors_are_named_without_their_message() -> None:
    try:
        identify(b"\x08\x00\x18\x00UI\xff\xffDoe^Jane", "1.2.840.10008.1.2.1")
    except CorruptImageError as error:
        text = describe(error)
    assert re.fullmatch(r"CorruptImageError at [a-z_/]+\.py:\d+", text)


def test_metrics_are_in_prometheus_form() -> None:
    counters = Counters()
    counters.add("received_total", outcome="new")
    counters.add("received_total", 2, outcome='odd "one"\\')
    counters.add("received_bytes_total", 10)
    assert counters.value("received_total", outcome="new") == 1
    assert counters.total("received_total") == 3
    lines = counters.render().splitlines()
    assert "# TYPE xrc_gateway_received_total counter" in lines
    assert 'xrc_gateway_received_total{outcome="new"} 1' in lines
    assert 'xrc_gateway_received_total{outcome="odd \\"one\\"\\\\"} 2' in lines
    assert "xrc_gateway_received_bytes_total 10" in lines
    assert all(re.fullmatch(r'# .*|[a-z_]+(\{[a-z_]+=".*"\})? [0-9.e+-]+', line) for line in lines)
    text = gauge("queue_instances", "Instances.", [((), 1.5)])
    assert text.splitlines()[1:] == [
        "# TYPE xrc_gateway_queue_instances gauge",
        "xrc_gateway_queue_instances 1.5",
    ]
