"""Tests of the client, by gRPC and by REST, against every server there is."""

import concurrent.futures

import numpy as np
import pytest

from serving.client import Client, Score, StatusError
from tests.serving import tiny_model

TEXTS = ["w1 w2 w3", "", "a dog  café\t", "w5 " * 300]


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def client(served, protocol):
    with Client(served.addresses()[protocol], "tiny") as client:
        yield client


class TestAnswers:
    def test_score(self, client):
        scores = client.score(TEXTS)
        assert all(isinstance(score, Score) for score in scores)
        for score, text in zip(scores, TEXTS):
            log_probability, num_tokens, num_unknown = tiny_model.score(text)
            assert score.log_probability == pytest.approx(log_probability, rel=1e-5)
            assert (score.num_tokens, score.num_unknown) == (num_tokens, num_unknown)
            perplexity = np.exp(-log_probability / num_tokens)
            assert score.perplexity == pytest.approx(perplexity, rel=1e-4)

    def test_score_tokens(self, client):
        rows = [[2, 3, 4], [], [5]]
        found = client.score_tokens(rows)
        assert [len(row) for row in found] == [3, 0, 1]
        for row, values in zip(rows, found):
            np.testing.assert_allclose(values, tiny_model.log_probabilities(row), rtol=1e-5)

    def test_next_word(self, client):
        found = client.next_word(["w1 w2", "", "dog"], k=[3, 1, 50])
        for text, k, row in zip(["w1 w2", "", "dog"], [3, 1, 50], found):
            expected = tiny_model.next_words(text, k)
            assert [word for word, _ in row] == [word for word, _ in expected]
            np.testing.assert_allclose([p for _, p in row], [p for _, p in expected], rtol=1e-5)

    def test_the_client_carries_the_state(self, client):
        assert client.state_size() == tiny_model.STATE_SIZE
        eos_id = tiny_model.WORDS.index("<eos>")
        text, state = [], None
        for token_id in (eos_id, 2, 5, 3):
            log_probabilities, state = client.step([token_id, eos_id], state)
            text += [token_id] if token_id != eos_id else []
            assert log_probabilities.shape == (2, len(tiny_model.WORDS))
            assert (log_probabilities.dtype, state.dtype) == (np.float32, np.float32)
            expected = tiny_model.after(text)
            np.testing.assert_allclose(log_probabilities[0], expected, rtol=1e-4, atol=1e-5)

    def test_generate(self, client):
        settings = {"max_words": 12, "top_k": 0, "top_p": 1.0}
        texts = client.generate(["w1", "café", "w1"], seed=[1, 2, 2**40], **settings)
        assert texts == client.generate(["w1", "café", "w1"], seed=[1, 2, 2**40], **settings)
        assert client.generate(["café"], seed=2, **settings) == texts[1:2]
        assert texts[1].startswith("café ") and texts[0] != texts[2]
        likeliest = client.generate(["w1"], max_words=[1], temperature=0.0)
        assert likeliest == [f"w1 {tiny_model.next_words('w1', 1)[0][0]}"]

    def test_nothing_asked_is_nothing_answered(self, client):
        assert client.score([]) == client.next_word([]) == client.generate([]) == []
        assert client.score_tokens([]) == []

    def test_metadata(self, client):
        signatures = client.metadata()
        assert {"serving_default", "score", "score_tokens", "next_word", "step", "generate"} <= set(
            signatures
        )
        step = signatures["step"]
        assert step["inputs"]["state"] == (np.dtype(np.float32), (None, tiny_model.STATE_SIZE))
        assert step["inputs"]["token_ids"] == (np.dtype(np.int32), (None,))
        assert set(step["outputs"]) == {"log_probabilities", "next_state"}
        assert signatures["score"]["inputs"]["text"][0] == np.dtype(object)

    def test_status(self, client):
        assert client.status() == {1: "AVAILABLE"}

    def test_several_threads(self, client):
        texts = [f"w1 {word}" for word in tiny_model.WORDS]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda text: client.score([text])[0].log_probability, texts)
        expected = [tiny_model.score(text)[0] for text in texts]
        np.testing.assert_allclose(list(found), expected, rtol=1e-5)


class TestVersions:
    def test_a_version(self, served, protocol):
        with Client(served.addresses()[protocol], "tiny", version=1) as client:
            assert client.score(["w1"])[0].num_tokens == 2
            assert client.status() == {1: "AVAILABLE"}

    def test_a_version_that_is_not_there(self, served, protocol):
        with Client(served.addresses()[protocol], "tiny", version=7) as client:
            with pytest.raises(StatusError, match="^NOT_FOUND: .*tiny, 7"):
                client.score(["w1"])
            with pytest.raises(StatusError, match="^NOT_FOUND: Could not find version 7 of model"):
                client.status()

    def test_a_model_that_is_not_there(self, served, protocol):
        with Client(served.addresses()[protocol], "other") as client:
            with pytest.raises(StatusError, match=r"^NOT_FOUND: .*Latest\(other\)"):
                client.metadata()

    def test_a_label(self, local, protocol):
        with Client(local.addresses()[protocol], "tiny", label="stable") as client:
            assert client.score(["w1"])[0].num_tokens == 2

    def test_a_label_that_is_not_there(self, served, protocol):
        with Client(served.addresses()[protocol], "tiny", label="nowhere") as client:
            with pytest.raises(StatusError, match="^INVALID_ARGUMENT: Unrecognized .* nowhere"):
                client.score(["w1"])


class TestRefusals:
    def test_an_error_says_what_the_server_said(self, client):
        with pytest.raises(StatusError, match="65536 bytes at most") as error:
            client.score(["w1", "a" * 1_000_000])
        assert error.value.code == "INVALID_ARGUMENT"
        with pytest.raises(StatusError, match="^INVALID_ARGUMENT: .*valid UTF-8"):
            client.score([b"caf\xe9"])
        with pytest.raises(StatusError, match="`token_ids` must be at least 0, and below"):
            client.step([999])
        with pytest.raises(StatusError, match="max_words"):
            client.generate(["w1"], max_words=10**9)
        assert client.score(["w1"])[0].num_tokens == 2

    def test_arguments_that_cannot_be(self, client):
        with pytest.raises(ValueError, match="texts must be a sequence of strings"):
            client.score("w1 w2")
        with pytest.raises(ValueError, match=r"k must be one value, or 2. Received shape: \(3,\)"):
            client.next_word(["a", "b"], k=[1, 2, 3])
        with pytest.raises(ValueError, match="max_words must be in .* 2147483647. Received: 10000"):
            client.generate(["a"], max_words=10**10)
        with pytest.raises(ValueError, match="at least one token id"):
            client.step([])
        for number in (2**31, -(2**40), 2**70, np.int64(2**32)):
            said = f"token_ids must be in -2147483648 to 2147483647. Received: {number}"
            with pytest.raises(ValueError, match=said):
                client.score_tokens([[1], [1, number]])
            with pytest.raises(ValueError, match=said):
                client.step([number])

    @pytest.mark.parametrize("server", ["", "localhost", "ftp://x:1", "http://", "://x:1"])
    def test_an_address_that_cannot_be(self, server):
        with pytest.raises(ValueError, match="expected a server as http://host:port"):
            Client(server)

    @pytest.mark.parametrize("scheme", ["", "http://"])
    def test_nobody_there(self, scheme):
        with Client(f"{scheme}127.0.0.1:1", max_attempts=2) as client:
            with pytest.raises(StatusError) as error:
                client.score(["w1"])
        assert error.value.code == "UNAVAILABLE"


class TestUnavailable:
    def test_a_server_that_does_not_answer_in_time(self, protocol):
        import socket

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            address = address if protocol == "grpc" else f"http://{address}"
            with Client(address, deadline=0.3) as client:
                with pytest.raises(StatusError) as error:
                    client.status()
        # By gRPC the connection itself is not made in time, or the call.
        assert error.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
