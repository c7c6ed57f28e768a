"""The work of `serving.client`."""

import itertools
import os
import pathlib
import sys

import grpc
from absl import flags

from serving.grpc_client import Client
from trainers.errors import UserError

FLAGS = flags.FLAGS


def main(action=None, *texts):
    """Queries a server with texts, or with the lines of standard input."""
    actions = {"score": _score, "next": _next, "generate": _generate}
    if action not in actions:
        raise UserError(f"Expected one of {', '.join(actions)}. Received: {action}. See --help.")
    # The bytes as they are: the server rejects invalid UTF-8.
    lines = map(os.fsencode, texts) if texts else (s.rstrip(b"\r\n") for s in sys.stdin.buffer)
    roots = FLAGS.root_certificates and pathlib.Path(FLAGS.root_certificates).read_bytes()
    credentials = grpc.ssl_channel_credentials(roots) if FLAGS.tls else None
    arguments = FLAGS.server, FLAGS.model_name, FLAGS.version, FLAGS.deadline, credentials
    try:
        with Client(*arguments) as client:
            actions[action](client, lines)
    except grpc.RpcError as error:
        raise UserError(f"{FLAGS.server}: {error.code().name}: {error.details()}") from None


def _score(client, lines):
    while batch := list(itertools.islice(lines, FLAGS.batch_size)):
        for line, score in zip(batch, client.score(batch)):
            counts = f"{score.num_tokens}\t{score.num_unknown}"
            text = "\t" + line.decode().replace("\t", " ") if FLAGS.text else ""
            row = f"{score.log_probability:.6f}\t{counts}\t{score.perplexity:.3f}{text}"
            print(row, flush=True)


def _next(client, lines):
    for line in lines:
        (words,) = client.next_word([line], FLAGS.k)
        print("\t".join(word for word, _ in words), flush=True)


def _generate(client, lines):
    for line in lines:
        (text,) = client.generate(
            [line], FLAGS.max_words, FLAGS.temperature, FLAGS.top_k, FLAGS.top_p, FLAGS.seed
        )
        print(text, flush=True)
