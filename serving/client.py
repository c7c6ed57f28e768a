"""Queries a served model by gRPC.

  python -m serving.client score "the cat sat" "a dog"          # or lines on standard input
  python -m serving.client next "the cat"
  python -m serving.client generate "the president" --max_words=20

`score` prints log_probability, num_tokens, num_unknown and perplexity of each text, separated by
tabs; `next` prints the most likely next words; `generate` prints the text and its continuation.
All wait for the server to start, up to --deadline.
"""

from absl import flags

from trainers import cli


def main():
    """Parses the command line and queries."""
    with cli.section("Connection"):
        flags.DEFINE_string("server", "localhost:8500", "HOST:PORT of gRPC")
        flags.DEFINE_string("model_name", "bundled", "name of the model")
        flags.DEFINE_integer("version", None, "version of the model (default: the latest)", 1)
        flags.DEFINE_float("deadline", 30.0, "seconds for each request, retries included", 0)
        flags.DEFINE_bool("tls", False, "encrypt the connection")
        flags.DEFINE_string(
            "root_certificates", None, "PEM file of trusted certificates, with --tls"
        )
    with cli.section("score"):
        flags.DEFINE_integer("batch_size", 64, "texts per request", 1)
        flags.DEFINE_bool("text", False, "print the text, too")
    with cli.section("next"):
        flags.DEFINE_integer("k", 5, "number of words", 1)
    with cli.section("generate"):
        flags.DEFINE_integer("max_words", 100, "largest number of words to add", 1)
        flags.DEFINE_float("temperature", 1.0, "divisor of the logits; 0: most likely words", 0)
        flags.DEFINE_integer("top_k", 0, "sample from the top_k most likely words; 0: all", 0)
        flags.DEFINE_float("top_p", 1.0, "sample from the fewest words with this probability", 0, 1)
        flags.DEFINE_integer("seed", 0, "seed of the samples", 0)
    cli.main("serving.commands.client", __doc__, max_arguments=None)


if __name__ == "__main__":
    main()
