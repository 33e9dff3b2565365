"""Signals."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from seqgen.train.stop import StopRequest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_becomes_a_flag_and_is_answered_at_once(number: signal.Signals, code: int) -> None:
    said: list[str] = []
    with StopRequest(said.append) as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert stop.signal is number
        assert stop.exit_code == code
    assert len(said) == 1
    assert "saving" in said[0]
    assert "once more" in said[0]


def test_handlers_are_put_back() -> None:
    def mine(*_: object) -> None:
        raise AssertionError("not to be called")

    before = {number: signal.signal(number, mine) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with StopRequest(lambda message: None):
            assert signal.getsignal(signal.SIGINT) is not mine
            assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGINT) is mine
        assert signal.getsignal(signal.SIGTERM) is mine
        with pytest.raises(ValueError, match="inside"), StopRequest(lambda message: None):
            raise ValueError("inside")
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_shell_that_ignores_int_for_background_jobs_does_not_make_us_deaf() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest(lambda message: None) as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Ended

    monkeypatch.setattr(os, "_exit", leave)
    with StopRequest(lambda message: None):
        signal.raise_signal(signal.SIGINT)
        assert codes == []
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGTERM)
    assert codes == [143]


def test_in_another_thread_no_handler_is_touched() -> None:
    before = signal.getsignal(signal.SIGINT)
    during: list[object] = []

    def work() -> None:
        with StopRequest(lambda message: None) as stop:
            during.append(signal.getsignal(signal.SIGINT))
            assert not stop()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]
    assert signal.getsignal(signal.SIGINT) is before
