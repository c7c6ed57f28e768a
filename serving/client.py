"""Queries a served model over gRPC.

  python -m serving.client score "the cat sat" "a dog"          # or lines on standard input
  python -m serving.client next "the cat"
  python -m serving.client generate "the president" --max_words=20

`score` prints the log-probability, number of tokens, number of unknown words and perplexity of each
text, separated by tabs. `next` prints the most likely next words, and `generate` the text and its
continuation. Requests wait up to --deadline seconds for the server to start.
"""

from absl import flags

from trainers import cli


def main():
    """Parses the command line and queries."""
    with cli.section("Connection"):
        flags.DEFINE_string("server", "localhost:8500", "HOST:PORT of the gRPC server")
        flags.DEFINE_string("model_name", "bundled", "name of the model")
        flags.DEFINE_integer("version", None, "version of the model; default: the latest", 1)
        flags.DEFINE_float("deadline", 30.0, "seconds per request, including retries", 0)
        flags.DEFINE_bool("tls", False, "encrypt the connection")
    with cli.section("score"):
        flags.DEFINE_integer("batch_size", 64, "texts per request", 1)
        flags.DEFINE_bool("text", False, "also print the text")
    with cli.section("next"):
        flags.DEFINE_integer("k", 5, "number of words", 1, 2**31 - 1)
    with cli.section("generate"):
        help = "maximum number of words to add"
        flags.DEFINE_integer("max_words", 100, help, 1, 2**31 - 1)
        flags.DEFINE_float("temperature", 1.0, "divisor of the logits; 0: most likely word", 0)
        help = "sample from the k most likely words; 0: all words"
        flags.DEFINE_integer("top_k", 0, help, 0, 2**31 - 1)
        flags.DEFINE_float("top_p", 1.0, "total probability of the words to sample from", 0, 1)
        flags.DEFINE_integer("seed", 0, "random seed", 0)
    cli.main("serving.grpc_client", __doc__, max_arguments=None)


if __name__ == "__main__":
    main()
