"""How a processor computes."""

import threading

import torch

from agents.device import prepare_processor


def test_tiny_numbers_are_0_in_training_and_in_threads_that_it_starts():
    threads, tiny = torch.get_num_threads(), torch.full((4,), 2e-38)
    assert (tiny / 10).all()
    found = []
    try:
        prepare_processor(1)
        helper = threading.Thread(target=lambda: found.append(bool((tiny / 10).any())))
        helper.start()
        helper.join()
        assert torch.get_num_threads() == 1
        assert not (tiny / 10).any()
        assert found == [False]
        assert tiny.all()
    finally:
        torch.set_num_threads(threads)
