import pytest

from awd_keras.io.pytorch_names import detect_format, expected_shapes, match_names, name_of

PAPER = {
    "vocabulary_size": 10_000,
    "embedding_dim": 400,
    "hidden_dim": 1150,
    "num_layers": 3,
    "tie_weights": True,
}


class TestNames:
    @pytest.mark.parametrize("model_format", ["authors", "fastai"])
    def test_every_name_is_read_as_what_it_was_written_for(self, model_format):
        parts = list(expected_shapes(**PAPER))
        names = [name_of(part, model_format) for part in parts]
        assert len(set(names)) == len(parts) == 15
        assert detect_format(names) == model_format
        expected = {part: [name] for part, name in zip(parts, names)}
        assert match_names(names, model_format) == (expected, [])

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("encoder.weight", ("encoder", None)),
            ("module.encoder.weight", ("encoder", None)),
            ("module.0.encoder.weight", ("encoder", None)),
            ("_orig_mod.encoder.weight", ("encoder", None)),
            ("rnns.2.weight_hh_l0", ("weight_hh", 2)),
            ("rnns.2.weight_hh_l0_raw", ("weight_hh", 2)),
            ("rnns.2.module.weight_hh_l0", ("weight_hh", 2)),
            ("rnns.2.module.weight_hh_l0_raw", ("weight_hh", 2)),
            ("module.rnns.2.module.weight_hh_l0_raw", ("weight_hh", 2)),
            ("0.rnns.11.module.bias_ih_l0", ("bias_ih", 11)),
            ("rnns.0.bias_hh_l0", ("bias_hh", 0)),
            ("rnns.0.module.weight_ih_l0", ("weight_ih", 0)),
            ("decoder.weight", ("decoder", None)),
            ("0.decoder.bias", ("decoder_bias", None)),
        ],
    )
    def test_variants_of_the_authors_names(self, name, part):
        assert match_names([name], "authors") == ({part: [name]}, [])

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("0.encoder.weight", ("encoder", None)),
            ("0.encoder_dp.emb.weight", ("encoder", None)),
            ("module.0.encoder_dp.emb.weight", ("encoder", None)),
            ("0.rnns.1.weight_hh_l0_raw", ("weight_hh", 1)),
            ("0.rnns.1.module.weight_hh_l0_raw", ("weight_hh", 1)),
            ("1.decoder.weight", ("decoder", None)),
            ("module.1.decoder.bias", ("decoder_bias", None)),
        ],
    )
    def test_variants_of_fastais_names(self, name, part):
        assert match_names([name], "fastai") == ({part: [name]}, [])

    @pytest.mark.parametrize(
        "name",
        [
            "rnns.0.module.weight_ih_l1",
            "rnns.0.module.weight_ih_l0_reverse",
            "rnns.x.weight_ih_l0",
            "rnns.0.linear.module.weight_raw",
            "encoder.weight.momentum",
            "my.encoder.weight",
            "encoder_dp.emb.weight",
            "1.decoder.weight",
            "2.decoder.weight",
            "decoder",
            "",
        ],
    )
    def test_other_names_are_unexpected(self, name):
        assert match_names([name], "authors") == ({}, [name])

    def test_the_decoder_of_the_authors_is_not_fastais(self):
        assert match_names(["decoder.weight"], "fastai") == ({}, ["decoder.weight"])

    @pytest.mark.parametrize(
        "names",
        [
            ["0.rnns.0.weight_hh_l0_raw", "0.rnns.0.module.weight_hh_l0"],
            ["0.rnns.0.module.weight_hh_l0", "0.rnns.0.weight_hh_l0_raw"],
        ],
    )
    def test_the_raw_matrix_wins_over_its_dropped_copy(self, names):
        for source in ("authors", "fastai"):
            parts, unexpected = match_names(names, source)
            assert parts == {("weight_hh", 0): ["0.rnns.0.weight_hh_l0_raw"]}
            assert not unexpected

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["0.encoder.weight", "1.decoder.weight"], "fastai"),
            (["module.0.encoder_dp.emb.weight"], "fastai"),
            (["encoder.weight", "encoder_dp.emb.weight"], "fastai"),
            (["0.encoder.weight", "0.decoder.weight"], "authors"),
            (["module.encoder.weight"], "authors"),
            ([], "authors"),
        ],
    )
    def test_detect_format(self, names, expected):
        assert detect_format(names) == expected


class TestShapes:
    def test_the_papers_model(self):
        shapes = expected_shapes(**PAPER)
        assert shapes["encoder", None] == shapes["decoder", None] == (10_000, 400)
        assert shapes["weight_ih", 0] == (4600, 400)
        assert shapes["weight_hh", 1] == (4600, 1150)
        assert shapes["weight_ih", 2] == (1600, 1150)
        assert shapes["bias_ih", 2] == shapes["bias_hh", 2] == (1600,)

    def test_untied(self):
        shapes = expected_shapes(**{**PAPER, "tie_weights": False})
        assert shapes["encoder", None] == (10_000, 400)
        assert shapes["weight_hh", 2] == (4600, 1150)
        assert shapes["decoder", None] == (10_000, 1150)

    def test_one_layer(self):
        shapes = expected_shapes(**{**PAPER, "num_layers": 1})
        assert shapes["weight_ih", 0] == shapes["weight_hh", 0] == (1600, 400)
