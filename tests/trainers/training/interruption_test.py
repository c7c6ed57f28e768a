"""Tests of Ctrl-C as a request; resume_test.py has its effect on a run."""

import signal
import threading

from trainers.training.interruption import Interruption


def test_another_thread_changes_nothing():
    before = signal.getsignal(signal.SIGINT)
    inside = []

    def work():
        with Interruption():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
