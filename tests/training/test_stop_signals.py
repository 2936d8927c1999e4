import signal
import threading

import pytest

from semenet.training.stop_signals import TrainingStopped, noted_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts_as_before(number):
    before = signal.getsignal(number)
    received = []
    signal.signal(number, lambda *_: received.append(number))
    try:
        with noted_signals() as request:
            assert request.number is None
            signal.raise_signal(number)
            assert request.number == number
            assert not received
            signal.raise_signal(number)
            assert received == [number]
        signal.raise_signal(number)
        assert received == [number] * 2
    finally:
        signal.signal(number, before)


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted_signals() as request:
            signal.raise_signal(signal.SIGINT)
        assert request.number is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_notes_nothing_and_does_not_fail():
    found = []

    def use():
        with noted_signals() as request:
            found.append(request.number)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [None]


def test_a_signal_in_the_last_step_still_ends_the_command():
    with noted_signals() as request:
        request.raise_after("finished")
        request.number = signal.SIGTERM
        with pytest.raises(TrainingStopped, match="finished") as stopped:
            request.raise_after("finished")
    assert stopped.value.exit_status == 143


def test_exit_status_follows_the_signal():
    assert TrainingStopped("", signal.SIGINT).exit_status == 130
    assert TrainingStopped("", signal.SIGTERM).exit_status == 143
    assert issubclass(TrainingStopped, KeyboardInterrupt)
